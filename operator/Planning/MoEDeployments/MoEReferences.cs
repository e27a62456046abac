using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>The resources that a MoEDeployment refers to; null where there is none of that name.</summary>
/// <param name="Policy">The KVPrivacyPolicy.</param>
/// <param name="PolicyPlan">What the policy's own planner says about it.</param>
/// <param name="Profile">The MemorySchedulingProfile.</param>
public sealed record MoEReferences(KVPrivacyPolicy? Policy, Plan? PolicyPlan, MemorySchedulingProfile? Profile)
{
    /// <summary>Nothing is referred to.</summary>
    public static MoEReferences None { get; } = new(null, null, null);
}
