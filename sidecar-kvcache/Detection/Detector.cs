using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Tier 1: rules. Linear in the length of the text.</summary>
internal sealed class Detector
{
    public static Detector Create(RuleSpec rules, string field) => new();

    public IReadOnlyList<Finding> Scan(string text) => [];
}
