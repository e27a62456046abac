namespace Moebius.KvCache.Index;

/// <summary>
/// Which entries were taken back because they were probed, and whose they were: such an entry stays private for its
/// tenant when it has left the tree and is committed again. Other tenants' commits of the same text are not concerned:
/// what they could see would tell them about this one. The oldest are forgotten.
/// </summary>
/// <remarks>Not safe for several threads.</remarks>
internal sealed class ProbedEntries
{
    /// <summary>Entries remembered: some four MiB.</summary>
    public const int Most = 1 << 16;

    private readonly HashSet<(TenantKey Tenant, BlockKey Key)> _entries = [];
    private readonly Queue<(TenantKey Tenant, BlockKey Key)> _order = [];

    /// <summary>Notes an entry.</summary>
    /// <param name="tenant">Who committed it.</param>
    /// <param name="key">Of its first block.</param>
    public void Add(TenantKey tenant, BlockKey key)
    {
        if (!_entries.Add((tenant, key)))
            return;
        _order.Enqueue((tenant, key));
        if (_order.Count > Most)
            _entries.Remove(_order.Dequeue());
    }

    /// <summary>The first block of a tenant's path that was probed; the length of the path when none was.</summary>
    public int First(TenantKey tenant, ReadOnlySpan<BlockKey> path)
    {
        if (_entries.Count == 0)
            return path.Length;
        var block = 0;
        while (block < path.Length && !_entries.Contains((tenant, path[block])))
            block++;
        return block;
    }
}
