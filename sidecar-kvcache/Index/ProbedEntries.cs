namespace Moebius.KvCache.Index;

/// <summary>
/// Which entries were taken back because they were probed, and whose they were: such an entry stays private for its
/// tenant when it has left the tree and is committed again. Other tenants' commits of the same text are not concerned:
/// what they could see would tell them about this one. The oldest are forgotten.
/// </summary>
/// <remarks>Not safe for several threads.</remarks>
internal sealed class ProbedEntries
{
    /// <summary>Entries remembered: at most nine MiB.</summary>
    public const int Most = 1 << 16;

    private readonly RecentMap<(TenantKey Tenant, BlockKey Key), bool> _entries = new(Most);

    /// <summary>Notes an entry.</summary>
    /// <param name="tenant">Who committed it.</param>
    /// <param name="key">Of its first block.</param>
    public void Add(TenantKey tenant, BlockKey key) => _entries.Set((tenant, key), true);

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
