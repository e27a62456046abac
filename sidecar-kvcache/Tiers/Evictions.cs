using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>What was evicted on request while blocks were copied.</summary>
[Flags]
internal enum Evicted
{
    /// <summary>Nothing that the copy has to do with.</summary>
    None = 0,

    /// <summary>The tenant's private blocks of this model or of another: those in the tier between pods go whatever their model.</summary>
    Tenant = 1,

    /// <summary>The tenant's private blocks of this model.</summary>
    TenantOfModel = 2,

    /// <summary>All blocks of this model that the pod has.</summary>
    Model = 4,
}

/// <summary>
/// Evictions on request. A copy into a tier or back takes a while: before it puts a block anywhere it asks what was evicted meanwhile,
/// under the lock under which the eviction drops what is there. So the one or the other takes the block, whoever comes first.
/// </summary>
internal sealed class Evictions
{
    /// <summary>How many are remembered; whoever began before them is told that all may be evicted.</summary>
    public const int Most = 4096;

    private readonly object _gate = new();
    private readonly RecentMap<TenantKey, long> _ofTenant = new(Most);
    private readonly RecentMap<(ModelKey Model, TenantKey Tenant), long> _ofTenantAndModel = new(Most);
    private readonly RecentMap<ModelKey, long> _ofModel = new(Most);
    private readonly SortedSet<long> _underWay = [];
    private long _count;

    /// <summary>
    /// Evictions so far, up to the first that is still under way: a copy that begins now may find what that one has not dropped yet.
    /// </summary>
    public long Count
    {
        get
        {
            lock (_gate)
                return _underWay.Count > 0 ? _underWay.Min - 1 : _count;
        }
    }

    /// <summary>A tenant's private blocks of a model are evicted; a null tenant: all blocks of it. To be noted before anything is dropped.</summary>
    /// <returns>To be disposed when all is dropped.</returns>
    public IDisposable Begin(ModelKey model, TenantKey? tenant)
    {
        lock (_gate)
        {
            var number = ++_count;
            _underWay.Add(number);
            if (tenant is { } one)
            {
                _ofTenant.Set(one, number);
                _ofTenantAndModel.Set((model, one), number);
            }
            else
            {
                _ofModel.Set(model, number);
            }

            return new UnderWay(this, number);
        }
    }

    /// <summary>To be asked by a copy for a tenant that begins now, before it looks for what there is.</summary>
    public EvictionWatch Watch(ModelKey model, TenantKey tenant) => new(this, model, tenant, Count);

    /// <summary>What was evicted, of what a copy for a tenant may have brought, after so many evictions.</summary>
    public Evicted Since(ModelKey model, TenantKey tenant, long count)
    {
        lock (_gate)
        {
            // After so many the first of them are forgotten.
            if (_count - count > Most)
                return Evicted.Tenant | Evicted.TenantOfModel | Evicted.Model;
            return (_ofTenant.GetValueOrDefault(tenant, 0) > count ? Evicted.Tenant : Evicted.None)
                | (_ofTenantAndModel.GetValueOrDefault((model, tenant), 0) > count ? Evicted.TenantOfModel : Evicted.None)
                | (_ofModel.GetValueOrDefault(model, 0) > count ? Evicted.Model : Evicted.None);
        }
    }

    private sealed class UnderWay(Evictions evictions, long number) : IDisposable
    {
        public void Dispose()
        {
            lock (evictions._gate)
                evictions._underWay.Remove(number);
        }
    }
}
