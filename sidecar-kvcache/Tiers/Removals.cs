using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// What is still to be taken away from the tier between pods: its server did not answer when it was due. The oldest are forgotten; they
/// go when they have been idle.
/// </summary>
internal sealed class Removals
{
    /// <summary>Names and tenants remembered, of each.</summary>
    public const int Most = 1 << 16;

    private const int Lot = 1024;

    private readonly object _gate = new();
    private readonly RecentMap<BlockId, bool> _names = new(Most);
    private readonly RecentMap<TenantKey, bool> _tenants = new(Most);

    /// <summary>Nothing is to be taken away.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_gate)
                return _names.Count == 0 && _tenants.Count == 0;
        }
    }

    public void Add(IReadOnlyList<BlockId> names)
    {
        lock (_gate)
        {
            foreach (var name in names)
                _names.Set(name, true);
        }
    }

    public void Add(TenantKey tenant)
    {
        lock (_gate)
            _tenants.Set(tenant, true);
    }

    /// <summary>Some of what is to be taken away next.</summary>
    public (IReadOnlyList<BlockId> Names, IReadOnlyList<TenantKey> Tenants) Next()
    {
        lock (_gate)
            return ([.. _names.Keys.Take(Lot)], [.. _tenants.Keys.Take(Lot)]);
    }

    /// <summary>The server has taken them away.</summary>
    public void Done(IReadOnlyList<BlockId> names, IReadOnlyList<TenantKey> tenants)
    {
        lock (_gate)
        {
            foreach (var name in names)
                _names.TryRemove(name, out _);
            foreach (var tenant in tenants)
                _tenants.TryRemove(tenant, out _);
        }
    }
}
