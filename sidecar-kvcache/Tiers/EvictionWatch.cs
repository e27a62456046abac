using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>What was evicted since a copy began.</summary>
internal sealed class EvictionWatch(Evictions evictions, ModelKey model, TenantKey tenant, long begun)
{
    /// <summary>Whose copy it is.</summary>
    public TenantKey Tenant => tenant;

    /// <summary>All that concerns the copy.</summary>
    public Evicted Evicted => evictions.Since(model, tenant, begun);

    /// <summary>Whether what the copy found may be put into the arena or on the disk.</summary>
    /// <param name="isPublic">It is public; otherwise the tenant's.</param>
    public bool LetsKeep(bool isPublic) => (Evicted & (isPublic ? Evicted.Model : Evicted.Model | Evicted.TenantOfModel)) == Evicted.None;

    /// <summary>Whether what the copy found may be put into the tier between pods.</summary>
    /// <param name="isPublic">It is public; otherwise the tenant's.</param>
    public bool LetsShare(bool isPublic) => (Evicted & (isPublic ? Evicted.Model : Evicted.Model | Evicted.Tenant)) == Evicted.None;
}
