namespace Moebius.KvCache.Index;

/// <summary>A run of cached blocks with what is known about its text.</summary>
/// <param name="Start">Blocks before it.</param>
/// <param name="Slots">Where they lie.</param>
/// <param name="Visibility">Who may see them.</param>
/// <param name="Reason">Why they are public; null when they are not.</param>
/// <param name="Origin">Who committed them, when they are public; null: nobody known.</param>
internal sealed record CachedRun(int Start, int[] Slots, Visibility Visibility, PublicReason? Reason, TenantKey? Origin);

// Reading the tree for other tiers' sake.
internal sealed partial class PrefixIndex
{
    /// <summary>
    /// What a tenant has cached along a path, pinned. Unlike a lookup it counts as no use: neither eviction nor the
    /// monitor takes notice.
    /// </summary>
    public IReadOnlyList<CachedRun> Inspect(IndexRoot root, TenantKey tenant, ReadOnlySpan<BlockKey> keys, View view, out IndexLease lease)
    {
        using (_lock.Read())
        {
            _owners.TryGetValue(tenant, out var owner);
            var match = Match(root, owner, keys, view);
            var runs = new List<CachedRun>();
            var pins = new List<RunPin>();
            var within = match.Within;
            for (var node = match.Node; node.Parent is not null; node = node.Parent, within = node.Count)
            {
                node.Pin.Take(within);
                pins.Add(node.Pin);
                runs.Add(new CachedRun(node.Start, node.Run.ToArray(0, within), node.Visibility, node.Reason, node.Origin));
            }

            lease = new IndexLease(pins.ToArray());
            runs.Reverse();
            return runs;
        }
    }
}
