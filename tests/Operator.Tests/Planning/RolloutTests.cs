using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Tests.Planning;

public sealed class RolloutTests
{
    private static Plan Plan(MoEDeployment resource) =>
        MoEDeploymentPlanner.Plan(resource, MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest);

    [Theory]
    [InlineData("replicas: 2", "1", "0")]
    [InlineData("rollout: {maxSurge: 0, maxUnavailable: 1}", "0", "1")]
    [InlineData("rollout: {maxSurge: 25%, maxUnavailable: 10%}", "25%", "10%")]
    [InlineData("rollout: {maxUnavailable: 2}", "1", "2")]
    public void A_rollout_adds_and_takes_as_many_pods_as_the_spec_allows(string spec, string surge, string unavailable)
    {
        var strategy = Plan(Samples.MoE(spec)).Child<V1Deployment>().Spec.Strategy;
        Assert.Equal(("RollingUpdate", surge, unavailable), (strategy.Type, strategy.RollingUpdate.MaxSurge.ToString(), strategy.RollingUpdate.MaxUnavailable.ToString()));
    }

    [Theory]
    [InlineData("rollout: {maxSurge: 0}", "spec.rollout: maxSurge and maxUnavailable must not both be 0: no pod could be replaced")]
    [InlineData("rollout: {maxSurge: 0%, maxUnavailable: 0}", "spec.rollout: maxSurge and maxUnavailable must not both be 0: no pod could be replaced")]
    [InlineData("rollout: {maxSurge: 150%}", "spec.rollout.maxSurge: '150%' is not a whole number from 0 to 1000, or a percentage from 0% to 100%")]
    public void A_rollout_that_could_replace_no_pod_is_refused(string spec, string message)
    {
        var plan = Plan(Samples.MoE(spec));
        Assert.True(plan.IsBlocked);
        Assert.Equal((Reasons.InvalidSpec, message), (Assert.Single(plan.Problems).Reason, plan.Problems[0].Message));
    }
}
