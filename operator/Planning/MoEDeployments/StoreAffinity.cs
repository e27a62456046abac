using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Draws the pods of a downloaded model, and those that download another one, to the node that has its volume, where the store is
/// for pods of one node. Drawn, not bound: to the scheduler a pod on a node that is gone is there until somebody deletes it, and
/// the volume comes free before that; and some storage that is asked for so is mounted on several nodes all the same.
/// </summary>
internal static class StoreAffinity
{
    private const int Strongest = 100;

    /// <summary>Adds the preference; what a user's pod template says of affinity comes over it.</summary>
    public static void Draw(V1PodSpec pod, MoEDeployment resource)
    {
        if (resource.Spec.Model.Source is not { Store.AccessMode: StoreAccess.ReadWriteOnce } source || !ModelFetch.IsRemote(source))
            return;
        pod.Affinity = new V1Affinity
        {
            PodAffinity = new V1PodAffinity
            {
                PreferredDuringSchedulingIgnoredDuringExecution =
                [
                    new V1WeightedPodAffinityTerm
                    {
                        Weight = Strongest,
                        PodAffinityTerm = new V1PodAffinityTerm
                        {
                            TopologyKey = "kubernetes.io/hostname",
                            LabelSelector = new V1LabelSelector
                            {
                                MatchLabels = new Dictionary<string, string> { [Labels.Instance] = resource.Metadata.Name, [Labels.PartOf] = "moebius" },
                                MatchExpressions = [new V1LabelSelectorRequirement { Key = Labels.Component, OperatorProperty = "In", Values = [Components.Inference, Components.ModelFetch] }],
                            },
                        },
                    },
                ],
            },
        };
    }
}
