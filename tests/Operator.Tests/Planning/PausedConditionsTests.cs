using k8s.Models;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;

namespace Moebius.Operator.Tests.Planning;

/// <summary>A paused resource is ready for a generation only when that generation was seen to run.</summary>
public sealed class PausedConditionsTests
{
    private const string Behind = "something is not as planned";

    [Fact]
    public void A_policy_is_not_ready_for_a_generation_that_was_never_written()
    {
        var policy = Samples.Policy();
        var plan = KVPrivacyPolicyPlanner.Plan(policy, new Dictionary<string, V1ConfigMap>());
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [], plan, [], DateTimeOffset.UnixEpoch);
        Assert.Equal((nameof(ConditionStatus.True), Reasons.Rendered), Ready(policy.Status.Conditions));

        // Refused as it is, then changed and paused at once, then looked at again and again.
        var refused = new Problem(Reasons.PolicyRefused, "1 pods refuse it", Blocks: true);
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [refused], plan, [], DateTimeOffset.UnixEpoch);
        policy.Metadata.Annotations = new Dictionary<string, string> { [Labels.Paused] = "true" };
        policy.Metadata.Generation++;
        var paused = plan.UnlessPaused(policy) with { Behind = Behind };
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [refused], paused, [], DateTimeOffset.UnixEpoch);
        Assert.Equal((nameof(ConditionStatus.False), Reasons.Paused), Ready(policy.Status.Conditions));
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [], paused, [], DateTimeOffset.UnixEpoch);
        Assert.Equal((nameof(ConditionStatus.False), Reasons.Paused), Ready(policy.Status.Conditions));
    }

    [Fact]
    public void A_policy_that_was_refused_while_it_was_paused_is_not_ready_when_its_ConfigMap_differs()
    {
        var policy = Samples.Policy();
        policy.Metadata.Annotations = new Dictionary<string, string> { [Labels.Paused] = "true" };
        var plan = KVPrivacyPolicyPlanner.Plan(policy, new Dictionary<string, V1ConfigMap>()).UnlessPaused(policy);
        // Nothing could be said of this generation but that something is in its way.
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [new Problem(Reasons.PolicyInvalid, "texts are missing", Blocks: true)], plan, [], DateTimeOffset.UnixEpoch);
        Assert.Equal((nameof(ConditionStatus.False), Reasons.PolicyInvalid), Ready(policy.Status.Conditions));
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [], plan with { Behind = Behind }, [], DateTimeOffset.UnixEpoch);
        Assert.Equal((nameof(ConditionStatus.False), Reasons.Paused), Ready(policy.Status.Conditions));
    }

    [Fact]
    public void A_policy_that_was_written_stays_ready_when_a_newer_operator_would_write_it_otherwise()
    {
        var policy = Samples.Policy();
        var plan = KVPrivacyPolicyPlanner.Plan(policy, new Dictionary<string, V1ConfigMap>());
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [], plan, [], DateTimeOffset.UnixEpoch);
        policy.Metadata.Annotations = new Dictionary<string, string> { [Labels.Paused] = "true" };
        policy.Status = StatusPlanner.KVPrivacyPolicy(policy, [], plan.UnlessPaused(policy) with { Behind = Behind }, [], DateTimeOffset.UnixEpoch);
        Assert.Equal((nameof(ConditionStatus.True), Reasons.Rendered), Ready(policy.Status.Conditions));
    }

    [Theory]
    [InlineData(FetchState.Running)]
    [InlineData(FetchState.Failed)]
    public void A_model_that_was_fetched_while_its_resource_was_paused_is_not_served_yet(FetchState state)
    {
        // Pods of the source before answer all the time.
        var running = new WorkloadStatus(1, 1, 1, 1, 1, true, false);
        var resource = Samples.Remote();
        Look(new ModelPreparation(state, "soon", null), null);
        resource.Metadata.Annotations = new Dictionary<string, string> { [Labels.Paused] = "true" };
        Look(new ModelPreparation(state, "soon", null), null);
        Look(new ModelPreparation(FetchState.Done, null, null), Behind);
        Assert.Equal((nameof(ConditionStatus.False), Reasons.Paused), Ready(resource.Status!.Conditions));
        Look(new ModelPreparation(FetchState.Done, null, null), Behind);
        Assert.Equal((nameof(ConditionStatus.False), Reasons.Paused), Ready(resource.Status!.Conditions));

        void Look(ModelPreparation preparation, string? behind)
        {
            var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None with { Preparation = preparation }, OperatorSettings.Default, ServerCapabilities.Latest).UnlessPaused(resource);
            plan = plan.IsPaused ? plan with { Behind = behind } : plan;
            resource.Status = StatusPlanner.MoEDeployment(resource, plan, preparation, Observation.Of(plan, [], running, []), DateTimeOffset.UnixEpoch);
        }
    }

    private static (string Status, string Reason) Ready(IEnumerable<V1Condition>? conditions)
    {
        var ready = conditions!.Single(condition => condition.Type == ConditionTypes.Ready);
        return (ready.Status, ready.Reason);
    }
}
