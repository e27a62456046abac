using System.Diagnostics.CodeAnalysis;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Experts;

/// <summary>A load that begins now.</summary>
/// <param name="Request">What is loaded, and why.</param>
/// <param name="Slot">The buffer to fill.</param>
internal sealed record Transfer(TransferRequest Request, int Slot)
{
    public ExpertKey Key => Request.Key;
}

/// <summary>
/// The whole decision of what is loaded, when and over what: cache and queue together. Pure, so that the engine (under
/// its lock) and the simulator (on its clock) run the same code.
/// </summary>
/// <param name="cache">Who has a buffer.</param>
/// <param name="aheadAtOnce">
/// Most loads ahead on their way at once: what compute comes to need shares the link with them, and a load that has begun
/// cannot be stopped.
/// </param>
internal sealed class ExpertScheduler(ExpertCache cache, int aheadAtOnce = int.MaxValue)
{
    private readonly TransferQueue _queue = new();
    private readonly HashSet<ExpertKey> _wanted = [];
    private readonly HashSet<ExpertKey> _ahead = [];

    /// <summary>Layer runs so far, in which of them an expert last lost its buffer, and in which of them each layer last ran.</summary>
    private readonly Dictionary<ExpertKey, long> _leftAt = [];
    private readonly Dictionary<int, long> _ranAt = [];
    private long _run, _before;
    private int _layer = -1;

    public ExpertCache Cache => cache;

    /// <summary>Loads that wait to begin.</summary>
    public int Waiting => _queue.Waiting;

    /// <summary>Those of them that may begin as far as their number goes; there may be no buffer for them.</summary>
    public int Ready => Filling ? Waiting : _queue.Demanded + Math.Clamp(aheadAtOnce - _ahead.Count, 0, Waiting - _queue.Demanded);

    /// <summary>Loads that have not begun and that compute waits for.</summary>
    public int Demanded => _queue.Demanded;

    /// <summary>Loads on their way.</summary>
    public int Running => _queue.Running;

    /// <summary>Compute waits for the whole plan, as at the start: it may use the whole link.</summary>
    public bool Filling { get; set; }

    /// <summary>Uses that found the expert resident.</summary>
    public long Hits { get; private set; }

    /// <summary>Uses that had to wait for a load.</summary>
    public long Misses { get; private set; }

    /// <summary>Those of the misses for which a load ahead had begun.</summary>
    public long Late { get; private set; }

    /// <summary>Those of the misses that were in the plan, but whose load ahead had not begun.</summary>
    public long Queued { get; private set; }

    /// <summary>Those of the other misses that had been in memory since their layer last ran: they were evicted too early.</summary>
    public long EvictedEarly { get; private set; }

    /// <summary>Loads ahead that began.</summary>
    public long Prefetched { get; private set; }

    /// <summary>
    /// The running layer uses an expert. True: it is resident, and pinned until <see cref="Release"/>. False: it is
    /// loaded before anything else, and <see cref="Complete"/> will pin it.
    /// </summary>
    public bool TryUse(ExpertKey key, out int slot)
    {
        Begin(key.Layer);
        if (cache.TryPin(key, out slot))
        {
            Hits++;
            return true;
        }
        Misses++;
        if (_queue.IsRunning(key))
            Late++;
        else if (_queue.IsWaiting(key))
            Queued++;
        else if (_leftAt.TryGetValue(key, out var left) && left >= _before)
            EvictedEarly++;
        _wanted.Add(key);
        _queue.Demand(key);
        return false;
    }

    public void Release(ExpertKey key) => cache.Unpin(key);

    /// <summary>Uses of a layer begin when those of another end; a model with one MoE layer counts as running it once.</summary>
    private void Begin(int layer)
    {
        if (layer == _layer)
            return;
        // Where a plan stands for several layers, what it says of one that has run is over.
        _queue.CancelPrefetches(_layer);
        (_layer, _before) = (layer, _ranAt.GetValueOrDefault(layer, long.MaxValue));
        _ranAt[layer] = ++_run;
    }

    /// <summary>
    /// Takes over a policy's plan in place of the one before. A layer's uses come before the plan that is made in it,
    /// so that they are pinned when the earlier plan loses its claim on them.
    /// </summary>
    public void Plan(IReadOnlyList<PrefetchRequest> plan)
    {
        cache.BeginPlan();
        _queue.CancelPrefetches();
        foreach (var (key, _) in plan)
        {
            if (!cache.TryPredict(key))
                _queue.Prefetch(key);
        }
        cache.EndPlan();
    }

    /// <summary>The next load, if there is one and a buffer for it.</summary>
    public bool TryBegin([NotNullWhen(true)] out Transfer? transfer)
    {
        transfer = null;
        var slot = -1;
        ExpertKey? evicted = null;
        if (Ready == 0 || !_queue.TryBegin(r => cache.TryAdmit(r.Key, !r.Demanded, out slot, out evicted), out var request))
            return false;
        if (evicted is { } gone)
            _leftAt[gone] = _run;
        if (!request.Demanded)
        {
            Prefetched++;
            _ahead.Add(request.Key);
        }
        transfer = new Transfer(request, slot);
        return true;
    }

    /// <summary>A load is done. True: the running layer waits for the expert, which is now pinned.</summary>
    public bool Complete(ExpertKey key)
    {
        _queue.End(key);
        _ahead.Remove(key);
        cache.Loaded(key);
        return _wanted.Remove(key) && cache.TryPin(key, out _);
    }

    /// <summary>A load failed; its buffer is free. True: the running layer waits for the expert.</summary>
    public bool Fail(ExpertKey key)
    {
        _queue.End(key);
        _ahead.Remove(key);
        cache.Discard(key);
        return _wanted.Remove(key);
    }

    /// <summary>The running layer gives up on an expert that it waits for.</summary>
    public void Abandon(ExpertKey key)
    {
        _wanted.Remove(key);
        _queue.Withdraw(key);
    }
}
