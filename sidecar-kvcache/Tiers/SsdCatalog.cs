using System.Diagnostics.CodeAnalysis;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>A block on disk.</summary>
internal sealed class SsdEntry(Segment segment, int position, SegmentRecord record)
{
    public SegmentRecord Record { get; } = record;

    public TierBlock Block => Record.Block;

    public Segment Segment { get; } = segment;

    /// <summary>Its record's place in the segment's directory.</summary>
    public int Position { get; } = position;

    /// <summary>Milliseconds since 1970.</summary>
    public long LastUse { get; set; } = record.WrittenAt;

    public long Hits { get; set; }

    public bool Removed { get; set; }
}

/// <summary>
/// What is on disk and who has how much of it; decides which block goes first, by the rules of the arena
/// (<see cref="EvictionPolicy"/>): between domains the one that takes most in proportion to its weight gives, within a
/// domain what is least worth keeping, deep blocks before those they follow. Does no I/O. Not safe for several threads.
/// </summary>
internal sealed class SsdCatalog
{
    private readonly Dictionary<BlockId, SsdEntry> _entries = [];
    private readonly Dictionary<TenantKey, Domain> _domains = [];

    public int Count => _entries.Count;

    /// <summary>Bytes that live blocks take.</summary>
    public long LiveBytes { get; private set; }

    public IReadOnlyCollection<SsdEntry> Entries => _entries.Values;

    public bool TryFind(BlockId id, [NotNullWhen(true)] out SsdEntry? entry) => _entries.TryGetValue(id, out entry);

    /// <summary>Adds an entry, unless a later one has its name.</summary>
    /// <returns>The entry that is not wanted any more: the older of the two; null when the name was free.</returns>
    public SsdEntry? Add(SsdEntry entry)
    {
        SsdEntry? replaced = null;
        if (_entries.TryGetValue(entry.Block.Id, out var known))
        {
            if (known.Record.Sequence >= entry.Record.Sequence)
                return entry;
            Remove(known);
            replaced = known;
        }

        _entries[entry.Block.Id] = entry;
        entry.Segment.LiveBytes += entry.Record.StoredBytes;
        LiveBytes += entry.Record.StoredBytes;
        if (!_domains.TryGetValue(entry.Block.Owner, out var domain))
            _domains[entry.Block.Owner] = domain = new Domain(entry.Block.IsPublic);
        domain.Bytes += entry.Record.StoredBytes;
        domain.Live++;
        domain.Queue.Enqueue(entry, Score(entry));
        return replaced;
    }

    public void Remove(SsdEntry entry)
    {
        if (entry.Removed)
            return;
        entry.Removed = true;
        _entries.Remove(entry.Block.Id);
        entry.Segment.LiveBytes -= entry.Record.StoredBytes;
        LiveBytes -= entry.Record.StoredBytes;
        var domain = _domains[entry.Block.Owner];
        domain.Bytes -= entry.Record.StoredBytes;
        if (--domain.Live == 0)
            _domains.Remove(entry.Block.Owner);
        else if (domain.Queue.Count > (2 * domain.Live) + 1024)
            domain.Compact();
    }

    /// <summary>Bytes of one tenant's private blocks.</summary>
    public long BytesOf(TenantKey tenant) => _domains.TryGetValue(tenant, out var domain) ? domain.Bytes : 0;

    /// <summary>What one tenant should give up first; null when it has nothing.</summary>
    public SsdEntry? VictimOf(TenantKey tenant) => _domains.TryGetValue(tenant, out var domain) ? domain.Least() : null;

    /// <summary>What should go first of all; null when there is nothing.</summary>
    public SsdEntry? Victim() => _domains.Values.MaxBy(static domain => domain.Load)?.Least();

    private static double Score(SsdEntry entry) => EvictionPolicy.Score(entry.LastUse, entry.Hits, 0) - entry.Block.Depth;

    private sealed class Domain(bool isPublic)
    {
        public long Bytes { get; set; }

        public int Live { get; set; }

        public double Load => (double)Bytes / (isPublic ? EvictionPolicy.PublicWeight : 1);

        /// <summary>Entries by the score they had when they were queued; scores only grow.</summary>
        public PriorityQueue<SsdEntry, double> Queue { get; private set; } = new();

        public SsdEntry? Least()
        {
            while (Queue.TryDequeue(out var entry, out var queued))
            {
                if (entry.Removed)
                    continue;
                var score = Score(entry);
                // Stays queued: the caller may yet keep it.
                Queue.Enqueue(entry, score);
                if (score <= queued)
                    return entry;
            }

            return null;
        }

        public void Compact() => Queue = new(Queue.UnorderedItems.Where(static item => !item.Element.Removed).ToArray());
    }
}
