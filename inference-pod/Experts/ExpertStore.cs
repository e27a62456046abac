using System.Diagnostics;
using Moebius.Crds;
using Moebius.Inference.Kernels;
using Moebius.Inference.Models;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Experts;

/// <summary>
/// The two tiers of expert weights: buffers in memory, at most the budget, and files. One compute thread uses it; it
/// waits only when an expert that a layer uses is not there, and the time of that is counted.
/// </summary>
internal sealed unsafe class ExpertStore : IDisposable
{
    private readonly ExpertCatalog _catalog;
    private readonly IExpertSource _source;
    private readonly ExpertBuffers _buffers;
    private readonly TransferLink _link;
    private readonly int _slots;
    private long _preloaded;
    private long _residentHits;
    private readonly GatedMatrices[] _matrices;
    private GatedMatrices[][]? _resident;
    private TimeSpan _stall;

    /// <param name="catalog">The experts.</param>
    /// <param name="source">The slow tier; disposed with the store.</param>
    /// <param name="budgetBytes">Hard limit of the buffers; null for all experts.</param>
    /// <param name="readers">Threads that load, 1..64.</param>
    /// <param name="aheadAtOnce">Most loads ahead on their way at once.</param>
    /// <param name="directory">Of the model, for messages.</param>
    /// <param name="nextUse">
    /// When an expert is expected to be used next, so that the farthest is evicted; null for LRU. Called from any thread,
    /// while the policy that answers may be learning: an answer decides what is evicted and nothing else.
    /// </param>
    /// <param name="residency">Is told what has a buffer; null: nobody asks.</param>
    public ExpertStore(ExpertCatalog catalog, IExpertSource source, long? budgetBytes, int readers, int aheadAtOnce, string directory, Func<ExpertKey, long>? nextUse = null, Residency? residency = null)
    {
        (_catalog, _source) = (catalog, source);
        BudgetBytes = budgetBytes ?? catalog.TotalBytes;
        if (BudgetBytes < catalog.MinimumBytes)
            throw new UserInputException($"experts.fastMemory (--expert-budget): {BudgetBytes} bytes is too small for {directory}: one layer's top-{catalog.TopK} experts need {catalog.MinimumBytes} bytes ({catalog.TopK} x {catalog.Layout.Bytes}); give at least {catalog.MinimumBytes}");
        _slots = (int)Math.Min(catalog.Count, BudgetBytes / catalog.Layout.Bytes);
        _buffers = new ExpertBuffers(_slots, catalog.Layout.Bytes);
        _matrices = new GatedMatrices[_slots];
        for (var slot = 0; slot < _slots; slot++)
            _matrices[slot] = catalog.Layout.Matrices(_buffers[slot]);
        _link = new TransferLink(new ExpertScheduler(new ExpertCache(_slots, nextUse, residency), aheadAtOnce), source, _buffers, _slots == 0 ? 0 : readers);
    }

    public long BudgetBytes { get; }

    public ExpertLayout Layout => _catalog.Layout;

    /// <summary>Where experts come from and how they are read.</summary>
    public string Description => _source.Description;

    public ExpertStatistics Statistics => _link.Read((scheduler, meter, loaded) => new ExpertStatistics(
        scheduler.Hits + Volatile.Read(ref _residentHits), scheduler.Misses, scheduler.Cache.Evictions, _stall.TotalSeconds, loaded, scheduler.Cache.Count * Layout.Bytes, BudgetBytes)
    {
        Prefetched = scheduler.Prefetched - _preloaded,
        Late = scheduler.Late,
        Queued = scheduler.Queued,
        EvictedEarly = scheduler.EvictedEarly,
        OverFetched = scheduler.Cache.OverFetched,
        BytesPerSecond = meter.BytesPerSecond,
        LatencySeconds = meter.LatencySeconds,
        SecondsPerExpert = meter.SecondsPerTransfer,
    });

    /// <summary>
    /// Fills the buffers before the first request when every expert fits: nothing would ever be loaded on demand.
    /// </summary>
    public void Preload(Action<int, int>? progress)
    {
        if (_slots < _catalog.Count || _slots == 0)
            return;
        _link.Fill([.. _catalog.PerLayer.SelectMany((experts, layer) => experts.Select((_, expert) => new ExpertKey(layer, expert)))],
            done => progress?.Invoke(done, _catalog.Count));
        _preloaded = _link.Read((scheduler, _, _) => scheduler.Prefetched);
        _resident = [.. _catalog.PerLayer.Select((experts, layer) => experts.Select((_, expert) => Resident(layer, expert)).ToArray())];

        // Nothing is ever evicted: there is a buffer for each.
        GatedMatrices Resident(int layer, int expert) => _matrices[_link.Read((scheduler, _, _) => scheduler.Cache.SlotOf(new ExpertKey(layer, expert)))];
    }

    /// <summary>
    /// Where all experts are resident for good, a layer's use of some of them is counted and needs nothing else.
    /// </summary>
    /// <param name="layer">Index among the MoE layers.</param>
    /// <param name="uses">Experts that it uses.</param>
    /// <returns>The weights of each of the layer's experts; empty: ask <see cref="Use"/>.</returns>
    public ReadOnlySpan<GatedMatrices> UseResident(int layer, int uses)
    {
        if (_resident is null)
            return default;
        Volatile.Write(ref _residentHits, _residentHits + uses);
        return _resident[layer];
    }

    /// <summary>A layer begins to use experts: those that are resident are pinned, the others are on their way first.</summary>
    /// <param name="layer">Index among the MoE layers.</param>
    /// <param name="groups">The experts; the layer may use more than there are buffers.</param>
    /// <param name="keep">What is handed out stays until the end; the store <see cref="CanHold"/> as many.</param>
    public ExpertUse Use(int layer, IReadOnlyList<ExpertGroup> groups, bool keep = false) => new(this, _link, layer, groups, keep);

    /// <summary>Whether a layer may keep so many experts at once: as many buffers are left for what is loaded ahead.</summary>
    public bool CanHold(int experts) => 2 * experts <= _slots;

    /// <summary>Takes over a policy's plan. A layer's <see cref="Use"/> comes before the plan made in it.</summary>
    public void Plan(IReadOnlyList<PrefetchRequest> plan) => _link.Plan(plan);

    /// <summary>Called again and again while the compute thread waits for an expert, until it answers false; null for nothing to do.</summary>
    public Func<bool>? WhileWaiting { get; set; }

    /// <summary>Has a thread that would do nothing do something; false: there is none. Null: the compute thread does it.</summary>
    public Func<Action, bool>? HandOver
    {
        set => _link.HandOver = value;
    }

    /// <summary>The weights in a buffer.</summary>
    public GatedMatrices Matrices(int slot) => _matrices[slot];

    public void CountStall(TimeSpan waited) => _stall += waited;

    public void Dispose()
    {
        _link.Dispose();
        _buffers.Dispose();
        _source.Dispose();
    }
}

/// <summary>An expert that can run now.</summary>
/// <param name="Group">Index of its group.</param>
/// <param name="Matrices">Its weights.</param>
internal readonly record struct ReadyExpert(int Group, GatedMatrices Matrices);

/// <summary>
/// Hands out a layer's experts: first all that are resident, then the others as they arrive. Unless they are to be kept, what was
/// handed out is released by the next call, so that a layer with more experts than buffers goes through them in waves.
/// </summary>
internal sealed unsafe class ExpertUse : IDisposable
{
    private readonly ExpertStore _store;
    private readonly TransferLink _link;
    private readonly int _layer;
    private readonly Dictionary<int, int> _groupOf = [];
    private readonly List<ArrivedExpert> _pinned = [], _kept = [];
    private readonly List<ReadyExpert> _ready = [];
    private readonly bool _keep;
    private bool _begun;

    public ExpertUse(ExpertStore store, TransferLink link, int layer, IReadOnlyList<ExpertGroup> groups, bool keep)
    {
        (_store, _link, _layer, _keep) = (store, link, layer, keep);
        var keys = new ExpertKey[groups.Count];
        for (var i = 0; i < keys.Length; i++)
        {
            keys[i] = new ExpertKey(layer, groups[i].Expert);
            _groupOf[groups[i].Expert] = i;
        }
        Missing = link.Use(keys, _pinned);
    }

    /// <summary>Experts that were not resident when the layer began.</summary>
    public int Missing { get; }

    /// <summary>The experts that can run now, at least one, waiting for it if need be; none when all have been handed out.</summary>
    /// <exception cref="IOException">An expert cannot be read, or what its source throws.</exception>
    public IReadOnlyList<ReadyExpert> Next()
    {
        if (_begun || _pinned.Count == 0)
        {
            if (_keep)
                Keep();
            else
                Release();
            if (_groupOf.Count > 0)
            {
                var start = Stopwatch.GetTimestamp();
                try
                {
                    _link.WaitForArrivals(_pinned, _store.WhileWaiting);
                }
                finally
                {
                    _store.CountStall(Stopwatch.GetElapsedTime(start));
                }
            }
        }
        _begun = true;
        _ready.Clear();
        foreach (var (key, slot) in _pinned)
        {
            _groupOf.Remove(key.Expert, out var group);
            _ready.Add(new ReadyExpert(group, _store.Matrices(slot)));
        }
        return _ready;
    }

    public void Dispose()
    {
        Keep();
        _link.Release(_kept);
        if (_groupOf.Count > 0)
            _link.Abandon(_groupOf.Keys.Select(expert => new ExpertKey(_layer, expert)));
    }

    private void Keep()
    {
        _kept.AddRange(_pinned);
        _pinned.Clear();
    }

    private void Release()
    {
        _link.Release(_pinned);
        _pinned.Clear();
    }
}
