using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Monitoring;

/// <summary>What a window says about an entry.</summary>
internal enum ProbeVerdict
{
    /// <summary>Ordinary use.</summary>
    None,

    /// <summary>Hits jump while few accounts make them, on an entry that many used before: it stays public.</summary>
    ProbedButCommon,

    /// <summary>Hits jump while few accounts make them, on an entry that at most one used before: private again.</summary>
    Probed,
}

/// <summary>Hits of a window and who made them.</summary>
/// <param name="Hits">All hits.</param>
/// <param name="Distinct">Distinct tenants.</param>
/// <param name="Entropy">Entropy in bits of who made them.</param>
internal readonly record struct WindowUse(int Hits, int Distinct, double Entropy)
{
    /// <summary>As many tenants that hit equally often would have this entropy; at most <see cref="Distinct"/>.</summary>
    public double Effective => Math.Min(Distinct, Math.Pow(2, Entropy));
}

/// <summary>
/// The rules of the monitor. The second version of the paper (SafeKV, arXiv 2508.08438v2, section 4.3) goes by the
/// reuse-diversity ratio, distinct tenants over hits; the first by the entropy of who hits. One threshold serves both:
/// a window has few users when its distinct tenants, or as many as its entropy is worth, are few for its hits. The
/// second catches one account that hides its hits among many accounts with one hit each. Pure.
/// </summary>
internal static class ProbeRules
{
    /// <param name="use">This window.</param>
    /// <param name="previousHits">Hits of the window before.</param>
    /// <param name="previousDistinct">Distinct tenants of the window before.</param>
    /// <param name="settings">Thresholds.</param>
    public static ProbeVerdict Judge(WindowUse use, int previousHits, int previousDistinct, MonitorSettings settings)
    {
        var jumped = (long)use.Hits * 100 >= (long)previousHits * settings.HitJumpPercent;
        var few = use.Effective * 100 < (double)use.Hits * settings.ReuseDiversityPercent;
        if (!settings.Enabled || use.Hits < settings.MinHits || !jumped || !few)
            return ProbeVerdict.None;
        return previousDistinct > 1 ? ProbeVerdict.ProbedButCommon : ProbeVerdict.Probed;
    }
}
