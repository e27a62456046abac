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

/// <summary>
/// The rules of the monitor (SafeKV, arXiv 2508.08438v2, section 4.3), over the reuse-diversity ratio: distinct tenants
/// over hits. Pure.
/// </summary>
internal static class ProbeRules
{
    /// <param name="hits">Hits of this window.</param>
    /// <param name="distinct">Distinct tenants of this window.</param>
    /// <param name="previousHits">Hits of the window before.</param>
    /// <param name="previousDistinct">Distinct tenants of the window before.</param>
    /// <param name="settings">Thresholds.</param>
    public static ProbeVerdict Judge(int hits, int distinct, int previousHits, int previousDistinct, MonitorSettings settings)
    {
        var jumped = (long)hits * 100 >= (long)previousHits * settings.HitJumpPercent;
        var few = (long)distinct * 100 < (long)hits * settings.ReuseDiversityPercent;
        if (!settings.Enabled || hits < settings.MinHits || !jumped || !few)
            return ProbeVerdict.None;
        return previousDistinct > 1 ? ProbeVerdict.ProbedButCommon : ProbeVerdict.Probed;
    }
}
