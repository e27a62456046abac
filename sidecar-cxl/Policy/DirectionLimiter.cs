namespace Moebius.Cxl.Policy;

/// <summary>
/// The token bucket's rate for the heavier direction: less of it where that lets the link carry more in total. The
/// lighter direction is never limited.
/// </summary>
internal static class DirectionLimiter
{
    private const int Steps = 200;

    /// <summary>
    /// The link as it looks with the limiter in front: what it carries of a constant demand (GiB/s), by the share of reads
    /// that is asked for.
    /// </summary>
    public static LinkCurve InFrontOf(LinkCurve curve, double demand)
    {
        const int Points = 50;
        double[] shares = [.. Enumerable.Range(0, Points + 1).Select(point => (double)point / Points)];
        return new LinkCurve($"{curve.Name} limited", shares, Array.ConvertAll(shares, share => Admit(curve, share * demand, (1 - share) * demand) is var (reads, writes) ? reads + writes : 0));
    }

    /// <summary>The rates to admit, given what both directions ask for (GiB/s).</summary>
    public static (double Reads, double Writes) Admit(LinkCurve curve, double reads, double writes)
    {
        var demand = reads + writes;
        if (demand <= 0)
            return (0, 0);
        var asked = reads / demand;
        var best = (Total: Math.Min(demand, curve.At(asked)), Share: asked);
        for (var step = 0; step <= Steps; step++)
        {
            // From the mix asked for towards the curve's top, never beyond it.
            var share = asked + (curve.BestShare - asked) * step / Steps;
            var lighter = share <= asked
                ? (share < 1 ? writes / (1 - share) : demand)
                : (share > 0 ? reads / share : demand);
            var total = Math.Min(Math.Min(curve.At(share), lighter), demand);
            if (total > best.Total * (1 + 1e-9))
                best = (total, share);
        }

        return (best.Total * best.Share, best.Total * (1 - best.Share));
    }
}
