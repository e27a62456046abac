using k8s.Models;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Keeps the pods of a MoEDeployment to the nodes of its MemorySchedulingProfile. Its selector does not say all: nodes that an
/// older profile selects, too, have that one's agents, and the profile's own keep away from them through node affinity.
/// </summary>
internal static class ProfileNodes
{
    /// <summary>Asks for what the agents of the profile ask for, beside what the pod's user asks for.</summary>
    public static void Keep(V1PodSpec pod, Plan? profile)
    {
        if (profile?.Children.OfType<V1DaemonSet>().SingleOrDefault()?.Spec.Template.Spec.Affinity?.NodeAffinity is not { } agents)
            return;
        pod.Affinity ??= new V1Affinity();
        pod.Affinity.NodeAffinity ??= new V1NodeAffinity();
        var nodes = pod.Affinity.NodeAffinity;
        nodes.RequiredDuringSchedulingIgnoredDuringExecution = nodes.RequiredDuringSchedulingIgnoredDuringExecution is { } asked
            ? Both(asked, agents.RequiredDuringSchedulingIgnoredDuringExecution)
            : agents.RequiredDuringSchedulingIgnoredDuringExecution;
    }

    // Terms are alternatives, so those of both multiply.
    private static V1NodeSelector Both(V1NodeSelector left, V1NodeSelector right) => new()
    {
        NodeSelectorTerms =
        [
            .. left.NodeSelectorTerms.SelectMany(one => right.NodeSelectorTerms.Select(other => new V1NodeSelectorTerm
            {
                MatchFields = one.MatchFields,
                MatchExpressions = [.. one.MatchExpressions ?? [], .. other.MatchExpressions],
            })),
        ],
    };
}
