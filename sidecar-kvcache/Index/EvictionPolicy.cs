namespace Moebius.KvCache.Index;

/// <summary>
/// Which blocks go first. Pure. Within a domain the leaf with the lowest score goes; between domains the one that takes
/// most in proportion to its weight gives, so that one tenant's pressure never reaches a tenant that uses less.
/// </summary>
internal static class EvictionPolicy
{
    /// <summary>The public domain counts as this many tenants: its blocks serve all of them.</summary>
    public const int PublicWeight = 4;

    private const double MillisecondsPerDoubledUse = 60_000;
    private const double MillisecondsPerDoubledDepth = 10_000;

    /// <summary>
    /// Recency in milliseconds, plus a minute for each doubling of the hits, plus ten seconds for each doubling of the
    /// depth: a block deep in a conversation costs more to compute again, because attention reads all that is before it.
    /// </summary>
    public static double Score(long lastUse, long hits, int depth) =>
        lastUse + (hits == 0 ? 0 : MillisecondsPerDoubledUse * Math.Log2(1.0 + hits)) + (MillisecondsPerDoubledDepth * Math.Log2(1 + depth));

    /// <summary>How many of the slots one tenant may hold, cached and reserved.</summary>
    public static int Quota(int slots, int maxTenantPercent) => Math.Max(1, (int)((long)slots * maxTenantPercent / 100));

    /// <summary>Whether a domain may lose blocks for the sake of a tenant: its own, or one that takes no less than the tenant.</summary>
    /// <param name="owner">The domain.</param>
    /// <param name="asking">The tenant.</param>
    /// <param name="load">Slots that the tenant has, has reserved and is about to get.</param>
    public static bool MayGive(Owner owner, Owner asking, int load) => owner == asking || Load(owner) >= load;

    /// <summary>The domain's use in proportion to its weight.</summary>
    public static double Load(Owner owner) => (double)owner.Blocks / (owner.IsPublic ? PublicWeight : 1);
}
