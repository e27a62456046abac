using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// Evictions on request. A copy into a tier or back takes a while: it asks at its end whether its tenant was evicted meanwhile, and
/// then takes away again what it brought.
/// </summary>
internal sealed class Evictions
{
    private const int Tenants = 4096;

    private readonly object _gate = new();
    private readonly RecentMap<TenantKey, long> _last = new(Tenants);
    private long _count;
    private long _ofAll;

    /// <summary>Evictions so far.</summary>
    public long Count
    {
        get
        {
            lock (_gate)
                return _count;
        }
    }

    /// <summary>A tenant is evicted; null: all are. To be noted before anything is dropped.</summary>
    public void Add(TenantKey? tenant)
    {
        lock (_gate)
        {
            _count++;
            if (tenant is { } one)
                _last.Set(one, _count);
            else
                _ofAll = _count;
        }
    }

    /// <summary>Whether a tenant was evicted after so many evictions.</summary>
    public bool HasSince(TenantKey tenant, long count)
    {
        lock (_gate)
            return _ofAll > count || _last.GetValueOrDefault(tenant, 0) > count;
    }
}
