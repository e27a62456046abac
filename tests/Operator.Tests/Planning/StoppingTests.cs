using k8s.Models;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Planning.Profiles;

namespace Moebius.Operator.Tests.Planning;

/// <summary>A MoEDeployment can be stopped at any time.</summary>
public sealed class StoppingTests
{
    private const string Named = "memorySchedulingProfileRef: {name: cxl}\n";
    private static readonly DateTime Then = new(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);

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

    [Theory]
    [InlineData(FetchState.NotStarted)]
    [InlineData(FetchState.Running)]
    [InlineData(FetchState.Failed)]
    public void Nobody_waits_for_a_model_that_no_pod_is_to_serve(FetchState state)
    {
        var references = MoEReferences.None with { Preparation = new ModelPreparation(state, "answers 403", null) };
        var plan = Plan(Samples.Remote("replicas: 0"), references);
        Assert.Equal(0, plan.Child<V1Deployment>().Spec.Replicas);
        // The download goes on: whoever asks for pods later finds the model.
        Assert.NotNull(plan.Child<V1Job>());
        Assert.False(plan.IsPartial);
        Assert.Equal(ConditionStatus.False, plan.Conditions.Single(condition => condition.Type == ConditionTypes.ModelFetched).Status);
        Assert.Equal(state == FetchState.Failed, plan.Problems.Any(problem => problem.Reason == Reasons.FetchFailed));
        Assert.True(Plan(Samples.Remote("replicas: 1"), references).IsPartial);
    }

    [Fact]
    public void A_download_is_found_again_whose_profile_has_no_nodes_to_give()
    {
        var (settings, server) = (OperatorSettings.Default, ServerCapabilities.Latest);
        var (elder, profile) = (Samples.Profile("nodeSelector: {cxl: 'yes'}", "elder", Then), Samples.Profile("nodeSelector: {cxl: 'yes'}", created: Then.AddDays(1)));
        var references = new MoEReferences(null, null, profile) { ProfilePlan = MemorySchedulingProfilePlanner.Plan(profile, [elder, profile], settings, server) };
        var resource = Samples.Remote(Named + "replicas: 0");
        var plan = Plan(resource, references);
        Assert.Equal(ConditionStatus.False, plan.Conditions.Single(condition => condition.Type == ConditionTypes.ProfileResolved).Status);
        Assert.Equal(ModelFetch.JobName(resource, references, settings, server), plan.Child<V1Job>().Metadata.Name);
        Assert.Equal(0, plan.Child<V1Deployment>().Spec.Replicas);
    }

    [Fact]
    public void What_does_not_fit_need_not_fit_to_be_stopped()
    {
        const string Spec = "resources: {limits: {memory: 4Gi}}\n";
        var references = MoEReferences.None with { Preparation = new ModelPreparation(FetchState.Done, null, new ModelFacts(1L << 30, 8L << 30, 1L << 20, 1024)) };
        var plan = Plan(Samples.MoE(Spec + "replicas: 0"), references);
        Assert.Equal(0, plan.Child<V1Deployment>().Spec.Replicas);
        Assert.Equal(ConditionStatus.False, plan.Conditions.Single(condition => condition.Type == ConditionTypes.MemoryFits).Status);
        Assert.Equal([(Reasons.InsufficientMemory, false)], plan.Problems.Select(problem => (problem.Reason, problem.Blocks)));
        Assert.True(Plan(Samples.MoE(Spec + "replicas: 1"), references).IsBlocked);
    }

    [Theory]
    [InlineData("replicas: 0", 0)]
    [InlineData("replicas: 1", 1)]
    [InlineData("replicas: 0\nautoscaling: {minReplicas: 1, maxReplicas: 2}", 1)]
    public void What_keeps_no_pod_from_being_stopped_makes_no_manifest_invalid(string pods, int refused)
    {
        var resource = Samples.MoE(Named + "placement: {nodeSelector: {zone: a}}\n" + pods);
        Assert.Equal(refused, ManifestPlanner.Refusals([resource, Samples.Profile("nodeSelector: {zone: b}")]).Count());
    }

    [Fact]
    public void A_profile_that_was_edited_into_a_contradiction_keeps_no_pod_running()
    {
        const string Spec = Named + "placement: {nodeSelector: {zone: a}}\n";
        var profile = Samples.Profile("nodeSelector: {zone: b}");
        var references = new MoEReferences(null, null, profile) { ProfilePlan = MemorySchedulingProfilePlanner.Plan(profile, [profile], OperatorSettings.Default, ServerCapabilities.Latest) };
        var resource = Samples.MoE(Spec + "replicas: 0");
        var plan = Plan(resource, references);
        Assert.Equal(0, plan.Child<V1Deployment>().Spec.Replicas);
        var problem = Assert.Single(plan.Problems);
        Assert.StartsWith("spec.placement.nodeSelector[zone]: 'a' contradicts 'b' of MemorySchedulingProfile 'cxl'", problem.Message, StringComparison.Ordinal);
        var status = StatusPlanner.MoEDeployment(resource, plan, ModelPreparation.None, Observation.Of(plan, [], null, []), DateTimeOffset.UnixEpoch);
        Assert.Equal("http://austen.shop.svc:8000/v1", status.Endpoint);
        var running = Plan(Samples.MoE(Spec + "replicas: 1"), references);
        Assert.Equal([(Reasons.InvalidSpec, true)], running.Problems.Select(one => (one.Reason, one.Blocks)));
        Assert.Empty(running.Conditions);
    }

    private static Plan Plan(MoEDeployment resource, MoEReferences references) =>
        MoEDeploymentPlanner.Plan(resource, references, OperatorSettings.Default, ServerCapabilities.Latest);
}
