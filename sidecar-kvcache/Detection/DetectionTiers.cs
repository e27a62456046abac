using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Detection.Context;

namespace Moebius.KvCache.Detection;

/// <summary>The tiers above the rules that a policy has switched on, ready for use.</summary>
/// <param name="Classifier">Tier 2; null: nothing but a declaration clears text.</param>
/// <param name="ContextCheck">Tier 3; null: what tier 2 leaves open stays private.</param>
internal sealed record DetectionTiers(IPrivacyClassifier? Classifier, ContextChecker? ContextCheck)
{
    public static DetectionTiers None { get; } = new(null, null);
}
