using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;

namespace Moebius.Operator.Tests.Planning;

/// <summary>A MoEDeployment can be stopped at any time.</summary>
public sealed class StoppingTests
{
    [Fact]
    public void Who_asks_for_no_pods_gets_none_whatever_is_missing()
    {
        const string Spec = "kvCache: {policyRef: {name: strict}}\nmemorySchedulingProfileRef: {name: cxl}\n";
        var broken = Samples.Policy("monitor: {window: 0s}");
        foreach (var references in new[] { MoEReferences.None, new MoEReferences(broken, KVPrivacyPolicyPlanner.Plan(broken, new Dictionary<string, V1ConfigMap>()), null) })
        {
            var plan = Plan(Samples.MoE(Spec + "replicas: 0"), references);
            Assert.Equal(0, plan.Child<V1Deployment>().Spec.Replicas);
            // Whoever starts a pod by hand all the same starts none without its policy.
            Assert.Equal("strict-policy", plan.Child<V1Deployment>().Spec.Template.Spec.Volumes.Single(volume => volume.Name == "policy").ConfigMap.Name);
            Assert.Equal([ConditionStatus.False, ConditionStatus.False], plan.Conditions.Take(2).Select(condition => condition.Status));
            Assert.Equal(2, plan.Problems.Count);
            Assert.True(Plan(Samples.MoE(Spec + "replicas: 1"), references).IsBlocked);
            Assert.True(Plan(Samples.MoE(Spec + "replicas: 0\nautoscaling: {minReplicas: 1, maxReplicas: 2}"), references).IsBlocked);
        }
    }

    private static Plan Plan(MoEDeployment resource, MoEReferences references) =>
        MoEDeploymentPlanner.Plan(resource, references, OperatorSettings.Default, ServerCapabilities.Latest);
}
