namespace Moebius.KvCache.Index;

/// <summary>A visibility domain with its accounts: the public one, or one tenant's.</summary>
internal sealed class Owner(long id, TenantKey key)
{
    // Many tenants never have an entry of their own.
    private PriorityQueue<IndexNode, double>? _leaves;

    /// <summary>The public domain's number.</summary>
    public const int PublicId = 0;

    public long Id { get; } = id;

    public TenantKey Key { get; } = key;

    public bool IsPublic => Id == PublicId;

    /// <summary>Blocks that index entries of this domain hold.</summary>
    public int Blocks { get; set; }

    /// <summary>Slots reserved for blocks that are still being computed.</summary>
    public int Reserved { get; set; }

    /// <summary>Entries of this domain.</summary>
    public int Nodes { get; set; }

    /// <summary>
    /// Leaves by the score they had when they were queued. Scores only grow, so a leaf whose score has grown since is
    /// queued again when it surfaces.
    /// </summary>
    public PriorityQueue<IndexNode, double> Leaves => _leaves ??= new();
}
