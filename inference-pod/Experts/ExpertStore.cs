using System.Diagnostics;
using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Inference.Models;

namespace Moebius.Inference.Experts;

/// <summary>
/// The two tiers of expert weights: buffers in memory, at most the budget, and the checkpoint file. The policy is in
/// <see cref="ExpertCache"/>; this class holds the buffers, reads and counts. One compute thread uses it.
/// </summary>
internal sealed unsafe class ExpertStore : IDisposable
{
    private readonly ExpertCatalog _catalog;
    private readonly ExpertCache _cache;
    private readonly nint[] _buffers;
    private readonly byte[] _scratch;
    private long _hits;
    private long _misses;
    private long _evictions;
    private long _loadedBytes;
    private TimeSpan _stall;

    /// <param name="catalog">The experts.</param>
    /// <param name="budgetBytes">Hard limit of the buffers; null for all experts.</param>
    /// <param name="directory">Of the model, for messages.</param>
    public ExpertStore(ExpertCatalog catalog, long? budgetBytes, string directory)
    {
        _catalog = catalog;
        BudgetBytes = budgetBytes ?? catalog.TotalBytes;
        if (BudgetBytes < catalog.MinimumBytes)
            throw new UserInputException($"experts.fastMemory (--expert-budget): {BudgetBytes} bytes is too small for {directory}: one layer's top-{catalog.TopK} experts need {catalog.MinimumBytes} bytes ({catalog.TopK} x {catalog.Layout.Bytes}); give at least {catalog.MinimumBytes}");
        int slots = (int)Math.Min(catalog.Count, BudgetBytes / Math.Max(1, catalog.Layout.Bytes));
        _cache = new ExpertCache(slots);
        _buffers = new nint[slots];
        // Only parts that change type or order pass through here: at most one tensor of one expert.
        _scratch = new byte[catalog.PerLayer.SelectMany(l => l).SelectMany(e => e)
            .Where(r => !r.IsDirect).Select(r => r.Bytes).DefaultIfEmpty(0).Max()];
    }

    public long BudgetBytes { get; }

    public ExpertLayout Layout => _catalog.Layout;

    public ExpertStatistics Statistics => new(_hits, _misses, _evictions, _stall.TotalSeconds, _loadedBytes, _cache.Count * Layout.Bytes, BudgetBytes);

    public bool IsResident(ExpertKey key) => _cache.IsResident(key);

    /// <summary>
    /// Fills the buffers before the first request when every expert fits: nothing would ever be loaded on demand.
    /// </summary>
    public void Preload(Action<int, int>? progress)
    {
        if (_cache.Slots < _catalog.Count)
            return;
        int done = 0;
        for (int layer = 0; layer < _catalog.PerLayer.Count; layer++)
        {
            for (int expert = 0; expert < _catalog.PerLayer[layer].Count; expert++)
            {
                var key = new ExpertKey(layer, expert);
                Load(key);
                _cache.Unpin(key);
                progress?.Invoke(++done, _catalog.Count);
            }
        }
    }

    /// <summary>
    /// The address of an expert's buffer, loaded if it was not resident, and pinned until <see cref="Release"/>. The
    /// caller holds fewer than the budget's number of experts at a time.
    /// </summary>
    public byte* Acquire(ExpertKey key)
    {
        if (_cache.TryPin(key, out int slot))
        {
            _hits++;
            return (byte*)_buffers[slot];
        }
        _misses++;
        long start = Stopwatch.GetTimestamp();
        slot = Load(key);
        _stall += Stopwatch.GetElapsedTime(start);
        return (byte*)_buffers[slot];
    }

    public void Release(ExpertKey key) => _cache.Unpin(key);

    public void Dispose()
    {
        for (int i = 0; i < _buffers.Length; i++)
        {
            NativeMemory.AlignedFree((void*)_buffers[i]);
            _buffers[i] = 0;
        }
    }

    private int Load(ExpertKey key)
    {
        if (!_cache.TryAdmit(key, ahead: false, out int slot, out var evicted))
            throw new InvalidOperationException($"all {_cache.Slots} expert buffers are in use; release one before acquiring another");
        if (evicted is not null)
            _evictions++;
        try
        {
            if (_buffers[slot] == 0)
                _buffers[slot] = (nint)NativeMemory.AlignedAlloc((nuint)Layout.Bytes, 4096);
            var buffer = new Span<byte>((void*)_buffers[slot], checked((int)Layout.Bytes));
            foreach (var read in _catalog.PerLayer[key.Layer][key.Expert])
            {
                read.Execute(buffer, _scratch);
                _loadedBytes += read.Bytes;
            }
            _cache.Loaded(key);
            _cache.TryPin(key, out _);
            return slot;
        }
        catch
        {
            _cache.Discard(key);
            throw;
        }
    }
}
