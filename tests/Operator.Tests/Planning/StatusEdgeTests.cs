using k8s.Models;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Planning.Profiles;

namespace Moebius.Operator.Tests.Planning;

/// <summary>What a status must not say: of pods that go, of counts of before, of what was fetched for another source.</summary>
public sealed class StatusEdgeTests
{
    private static readonly WorkloadStatus Running = new(1, 1, 1, 1, 1, IsCurrent: true, IsStuck: false);

    private static Dictionary<string, PlannedCondition> Of(WorkloadStatus workload, params Problem[] problems) =>
        WorkloadConditions.Of(problems, false, workload, []).ToDictionary(condition => condition.Type);

    private static V1Pod Pod(string name, V1ContainerStatus? container = null) => new()
    {
        Metadata = new V1ObjectMeta { Name = name },
        Status = new V1PodStatus
        {
            Conditions = [new V1PodCondition { Type = "PodScheduled", Status = "False", Message = "no node" }],
            ContainerStatuses = container is null ? null : [container],
        },
    };

    private static V1ContainerStatus Ended(string name, int code) => new() { Name = name, LastState = new V1ContainerState { Terminated = new V1ContainerStateTerminated { ExitCode = code, Message = "x" } } };

    [Fact]
    public void A_message_is_cut_where_the_server_would_refuse_it()
    {
        static string Told(int length) => Conditions.Merge(null, [new PlannedCondition(ConditionTypes.Ready, ConditionStatus.True, "A", new string('x', length))], 1, DateTimeOffset.UnixEpoch)[0].Message;
        Assert.Equal(new string('x', 2048), Told(2048));
        Assert.Equal(new string('x', 2047) + "…", Told(2049));
    }

    [Fact]
    public void Pods_that_go_have_no_say()
    {
        var pod = Pod("p", Ended("c", 1));
        Assert.Single(ContainerFailure.In([pod]));
        Assert.NotNull(UnscheduledPod.In([pod]));
        pod.Metadata.DeletionTimestamp = DateTime.UnixEpoch;
        Assert.Empty(ContainerFailure.In([pod]));
        Assert.Null(UnscheduledPod.In([pod]));
    }

    [Fact]
    public void A_container_that_is_ready_again_has_not_failed()
    {
        var container = Ended("c", 1);
        container.Ready = true;
        Assert.Empty(ContainerFailure.In([Pod("p", container)]));
    }

    [Fact]
    public void Pods_that_answer_are_ready_though_more_are_refused()
    {
        var conditions = Of(new WorkloadStatus(2, 1, 1, 1, 1, true, false, "exceeded quota: small"));
        Assert.Equal((ConditionStatus.False, Reasons.ReplicasNotReady), (conditions["Ready"].Status, conditions["Ready"].Reason));
        Assert.Equal((ConditionStatus.True, Reasons.PodsRefused), (conditions["Degraded"].Status, conditions["Degraded"].Reason));
    }

    [Fact]
    public void Counts_of_a_spec_of_before_say_nothing_of_this_one() =>
        Assert.Equal(Reasons.ReplicasNotReady, Of(Running with { Desired = 0, IsCurrent = false })["Ready"].Reason);

    [Fact]
    public void A_rollout_is_not_over_while_pods_of_before_are_there()
    {
        Assert.True(Running.IsComplete);
        Assert.False((Running with { Existing = 2 }).IsComplete);
        // A surge of the current template is none of before.
        Assert.True((Running with { Existing = 2, Updated = 2 }).IsComplete);
    }

    [Theory]
    [InlineData(3, 3, true, false)]
    [InlineData(3, 1, false, false)]
    [InlineData(3, 1, true, true)]
    public void Agents_are_missing_only_where_the_current_spec_wants_more(int desired, int existing, bool current, bool told)
    {
        var profile = Samples.Profile();
        var plan = MemorySchedulingProfilePlanner.Plan(profile, [profile], OperatorSettings.Default, ServerCapabilities.Latest);
        var ready = StatusPlanner.MemorySchedulingProfile(profile, plan, Observation.Of(plan, [], new WorkloadStatus(desired, existing, existing, 1, 1, current, false), []), [], DateTimeOffset.UnixEpoch)
            .Conditions!.Single(condition => condition.Type == ConditionTypes.Ready);
        Assert.Equal((Reasons.ReplicasNotReady, told), (ready.Reason, ready.Message.Contains("are not made yet", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_policy_lists_a_hundred_users_and_counts_all()
    {
        var policy = Samples.Policy();
        var plan = KVPrivacyPolicyPlanner.Plan(policy, new Dictionary<string, V1ConfigMap>());
        var status = StatusPlanner.KVPrivacyPolicy(policy, [], plan, [.. Enumerable.Range(0, 101).Select(number => new PolicyUser { Name = $"u{number}" })], DateTimeOffset.UnixEpoch);
        Assert.Equal((100, 101), (status.Users!.Count, status.UserCount));
    }

    [Fact]
    public void A_paused_resource_that_is_blocked_says_what_blocks_it()
    {
        var resource = Samples.MoE("serving: {port: 9401}");
        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest) with { IsPaused = true, Behind = "something is not as planned" };
        Assert.Equal(Reasons.InvalidSpec, Status(resource, plan, ModelPreparation.None, Observation.Of(plan, [], Running, []))["Ready"].Reason);
    }

    [Fact]
    public void What_runs_while_another_source_is_fetched_speaks_for_itself()
    {
        var resource = Samples.Remote();
        var preparation = new ModelPreparation(FetchState.Running, "soon", null);
        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None with { Preparation = preparation }, OperatorSettings.Default, ServerCapabilities.Latest);
        Assert.Equal(Reasons.Fetching, Status(resource, plan, preparation, Observation.Of(plan, [], null, []))["Ready"].Reason);
        Assert.Equal(Reasons.ReplicasNotReady, Status(resource, plan, preparation, Observation.Of(plan, [], Running with { Ready = 0, Available = 0 }, []))["Ready"].Reason);
        // What was stopped before is not what is asked for now.
        var stopped = new WorkloadStatus(0, 0, 0, 0, 0, true, false);
        var ready = Status(resource, plan, preparation, Observation.Of(plan, [], stopped, []))["Ready"];
        Assert.Equal((nameof(ConditionStatus.False), Reasons.Fetching), (ready.Status, ready.Reason));
        resource.Spec.Replicas = 0;
        plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None with { Preparation = preparation }, OperatorSettings.Default, ServerCapabilities.Latest);
        Assert.Equal(Reasons.ScaledToZero, Status(resource, plan, preparation, Observation.Of(plan, [], stopped, []))["Ready"].Reason);
    }

    [Fact]
    public void A_model_is_refused_by_the_program_that_read_it_only()
    {
        var resource = Samples.MoE();
        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest);
        var waiting = new V1ContainerStatus { Name = "inference", State = new V1ContainerState { Waiting = new V1ContainerStateWaiting { Reason = "ImagePullBackOff", Message = "no such image" } } };
        Assert.Equal(Reasons.Loading, Seen(waiting)["ModelLoaded"].Reason);
        Assert.Equal(Reasons.ModelRefused, Seen(Ended("inference", 2))["ModelLoaded"].Reason);
        Assert.Equal(Reasons.ContainerFailed, Seen(Ended("inference", 1))["ModelLoaded"].Reason);
        Assert.Equal(Reasons.InsufficientMemory, Seen(Ended("size", 2))["MemoryFits"].Reason);
        Assert.Equal(Reasons.NotMeasured, Seen(Ended("size", 1))["MemoryFits"].Reason);

        Dictionary<string, V1Condition> Seen(V1ContainerStatus container) =>
            Status(resource, plan, ModelPreparation.None, Observation.Of(plan, [], Running with { Ready = 0, Available = 0 }, [Pod("austen-1", container)]));
    }

    [Fact]
    public void Sizes_are_those_of_the_newest_pod_and_of_no_other_source()
    {
        var resource = Samples.MoE();
        ModelFacts old = new(1 << 20, 1 << 20, 1 << 10, 1024), current = old with { DenseBytes = 2 << 20 };
        V1Pod Report(int day, ModelFacts facts) => new()
        {
            Metadata = new V1ObjectMeta { Name = $"p{day}", CreationTimestamp = new DateTime(2026, 1, day, 0, 0, 0, DateTimeKind.Utc), Annotations = new Dictionary<string, string> { [Labels.ModelSource] = ModelFetch.SizeKey(resource.Spec) } },
            Status = new V1PodStatus { InitContainerStatuses = [new V1ContainerStatus { Name = "size", State = new V1ContainerState { Terminated = new V1ContainerStateTerminated { Message = facts.ToLine() } } }] },
        };
        Assert.Equal(current, ModelPreparation.Of(resource, null, [Report(1, old), Report(2, current)]).Facts);
        Assert.Equal(current, ModelPreparation.Of(resource, null, [Report(2, current), Report(1, old)]).Facts);

        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest);
        resource.Status = StatusPlanner.MoEDeployment(resource, plan, new ModelPreparation(FetchState.NotStarted, null, old), Observation.Of(plan, [], null, []), DateTimeOffset.UnixEpoch);
        Assert.Equal(old, ModelPreparation.Of(resource, null, []).Facts);
        resource.Spec.Model.Source = new ModelSource { HostPath = new HostPathModel { Path = "/models/bronte" } };
        Assert.Null(ModelPreparation.Of(resource, null, []).Facts);
    }

    [Fact]
    public void A_download_is_over_when_its_Job_says_that_it_is_so()
    {
        var resource = Samples.Remote();
        FetchState State(string type, string status) =>
            ModelPreparation.Of(resource, new V1Job { Metadata = new V1ObjectMeta { Name = "j" }, Status = new V1JobStatus { Conditions = [new V1JobCondition { Type = type, Status = status }] } }, []).State;
        Assert.Equal(FetchState.Done, State("Complete", "True"));
        Assert.Equal(FetchState.Running, State("Complete", "False"));
        Assert.Equal(FetchState.Failed, State("Failed", "True"));
        Assert.Equal(FetchState.Running, State("Failed", "False"));
    }

    private static Dictionary<string, V1Condition> Status(MoEDeployment resource, Plan plan, ModelPreparation preparation, Observation seen) =>
        StatusPlanner.MoEDeployment(resource, plan, preparation, seen, DateTimeOffset.UnixEpoch).Conditions!.ToDictionary(condition => condition.Type);
}
