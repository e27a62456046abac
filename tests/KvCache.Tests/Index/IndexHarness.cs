using System.Collections.Concurrent;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

/// <summary>An index with a few slots, and what an engine would have written into each.</summary>
internal sealed class IndexHarness
{
    public const int BlockTokens = 2;

    private readonly Dictionary<SlotRef, (int Tenant, string Prefix)> _content = [];
    private readonly ConcurrentQueue<IndexNode> _hit = [];
    private long _now;

    public IndexHarness(int slots, Action<IReadOnlyList<BlockKey>, BlockKey?>? onDemoted = null, Action? freed = null)
    {
        Slots = new SlotTable(slots, (_, generation) => (generation > 1 ? freed : null)?.Invoke());
        Index = new PrefixIndex(Slots, () => ++_now) { OnPublicHit = (run, _) => _hit.Enqueue(run), OnDemoted = onDemoted };
        Root = Index.Root(new ModelKey("model", BlockTokens, 1));
    }

    public SlotTable Slots { get; }

    public PrefixIndex Index { get; }

    public IndexRoot Root { get; }

    /// <summary>The last moment that the index asked for; each asking takes one.</summary>
    public long Now => _now;

    public static TenantKey Tenant(int tenant) => new((ulong)tenant + 1, 0);

    /// <summary>Two tokens for each letter.</summary>
    public static uint[] Tokens(string text) => [.. text.SelectMany(letter => new uint[] { letter, 7 })];

    /// <summary>What an engine does for a request: look up, reserve, write, commit, end the lease.</summary>
    public int Cache(int tenant, string text, View view = View.Shared, int quota = int.MaxValue, PublicReason? shareAs = null)
    {
        var found = Lookup(tenant, text, view);
        var slots = Index.Reserve(Tenant(tenant), text.Length - found.Blocks + 1, quota).ToList();
        // One slot too many, given back.
        if (slots.Count > text.Length - found.Blocks)
        {
            Slots.Free(slots[^1].Index);
            Index.EndReservation(Tenant(tenant), 1);
            slots.RemoveAt(slots.Count - 1);
        }

        var cached = found.Blocks;
        if (slots.Count > 0)
        {
            for (var index = 0; index < slots.Count; index++)
                _content[slots[index]] = (tenant, text[..(found.Blocks + index + 1)]);
            cached = Index.Insert(
                Root, Tenant(tenant), Tokens(text[..(found.Blocks + slots.Count)]), found.Blocks, [.. slots.Select(slot => slot.Index)], int.MaxValue, view, shareAs, Tenant(tenant)).CachedBlocks;
        }

        found.Lease.Release();
        return cached;
    }

    public Found Lookup(int tenant, string text, View view = View.Shared)
    {
        var keys = Root.Keys(Tokens(text));
        var slots = new SlotRef[keys.Length];
        var found = Index.Lookup(Root, Tenant(tenant), keys, view, slots);
        return new Found(slots[..found.Blocks], found.Lease);
    }

    public int Hits(int tenant, string text, View view = View.Shared)
    {
        var found = Lookup(tenant, text, view);
        found.Lease.Release();
        return found.Blocks;
    }

    /// <summary>What a tenant finds of a text, block for block.</summary>
    public IEnumerable<Visibility> Visibilities(int tenant, string text, View view)
    {
        var runs = Index.Inspect(Root, Tenant(tenant), Root.Keys(Tokens(text)), view, out var lease);
        lease.Release();
        return runs.SelectMany(run => run.Slots.Select(_ => run.Visibility));
    }

    /// <summary>The public runs that a tenant's lookup comes through, from the deepest one up.</summary>
    public IReadOnlyList<IndexNode> PublicRuns(int tenant, string text)
    {
        _hit.Clear();
        Hits(tenant, text);
        return [.. _hit];
    }

    public (int Tenant, string Prefix) ContentOf(SlotRef slot) => _content[slot];

    public long Blocks()
    {
        var (privateBlocks, publicBlocks) = Index.CountBlocks();
        return privateBlocks + publicBlocks;
    }

    public sealed record Found(SlotRef[] Slots, IndexLease Lease)
    {
        public int Blocks => Slots.Length;
    }
}
