using k8s;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>The resources that a MoEDeployment refers to, null where there is none of that name, and what is seen of its children.</summary>
/// <param name="Policy">The KVPrivacyPolicy.</param>
/// <param name="PolicyPlan">What the policy's own planner says about it.</param>
/// <param name="Profile">The MemorySchedulingProfile.</param>
public sealed record MoEReferences(KVPrivacyPolicy? Policy, Plan? PolicyPlan, MemorySchedulingProfile? Profile)
{
    /// <summary>Those that there are.</summary>
    internal IReadOnlyList<IKubernetesObject<V1ObjectMeta>> Resources => [.. new IKubernetesObject<V1ObjectMeta>?[] { Policy, Profile }.OfType<IKubernetesObject<V1ObjectMeta>>()];

    /// <summary>What the profile's own planner says about it; null where there is no profile.</summary>
    public Plan? ProfilePlan { get; init; }

    /// <summary>Pods that the Deployment asks for now; null when there is none.</summary>
    public int? LiveReplicas { get; init; }

    /// <summary>What is known of the model's files.</summary>
    public ModelPreparation Preparation { get; init; } = ModelPreparation.None;

    /// <summary>Nothing is referred to.</summary>
    public static MoEReferences None { get; } = new(null, null, null);
}
