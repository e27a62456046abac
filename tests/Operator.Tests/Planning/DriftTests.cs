using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Tests.Planning;

public sealed class DriftTests
{
    [Theory]
    [InlineData("""{"a":1}""", """{"a":1,"b":2}""", null)]
    [InlineData("""{"a":1}""", """{"a":2}""", "a")]
    [InlineData("""{"a":{"b":"x"}}""", """{"a":{}}""", "a.b")]
    [InlineData("""{"a":{"b":"x"}}""", """{}""", "a")]
    [InlineData("""{"env":[{"name":"x","value":"1"}]}""", """{"env":[{"name":"y"},{"name":"x","value":"1","extra":true}]}""", null)]
    [InlineData("""{"env":[{"name":"x","value":"1"}]}""", """{"env":[{"name":"x","value":"2"}]}""", "env[x].value")]
    [InlineData("""{"env":[{"name":"x"}]}""", """{"env":[]}""", "env[x]")]
    [InlineData("""{"args":["a","b"]}""", """{"args":["b","a"]}""", "args[0]")]
    [InlineData("""{"args":["a"]}""", """{"args":["a","b"]}""", "args")]
    [InlineData("""{"limits":{"cpu":"1000m","memory":"2048Mi"}}""", """{"limits":{"cpu":"1","memory":"2Gi"}}""", null)]
    [InlineData("""{"limits":{"memory":"2Gi"}}""", """{"limits":{"memory":"1Gi"}}""", "limits.memory")]
    [InlineData("""{"emptyDir":{"sizeLimit":"1024Mi"}}""", """{"emptyDir":{"sizeLimit":"1Gi"}}""", null)]
    [InlineData("""{"value":"1000m"}""", """{"value":"1"}""", "value")]
    [InlineData("""{"a":{}}""", """{}""", null)]
    [InlineData("""{"mounts":[{"name":"v","mountPath":"/a"},{"name":"v","mountPath":"/b"}]}""", """{"mounts":[{"name":"v","mountPath":"/b"},{"name":"v","mountPath":"/a"}]}""", null)]
    public void Only_planned_fields_are_compared(string planned, string live, string? path) =>
        Assert.Equal(path, Drift.Find((JsonObject)JsonNode.Parse(planned)!, (JsonObject)JsonNode.Parse(live)!));
}

public sealed class ConditionTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, 250, TimeSpan.Zero);

    [Fact]
    public void The_time_moves_with_the_status_only()
    {
        PlannedCondition At(ConditionStatus status, string reason) => new(ConditionTypes.Ready, status, reason, "m");
        var first = Conditions.Merge(null, [At(ConditionStatus.False, "A")], 1, Now);
        Assert.Equal(new DateTime(2026, 5, 1, 12, 0, 0, DateTimeKind.Utc), first[0].LastTransitionTime);
        var second = Conditions.Merge(first, [At(ConditionStatus.False, "B")], 2, Now.AddHours(1));
        Assert.Equal(first[0].LastTransitionTime, second[0].LastTransitionTime);
        Assert.Equal(("B", 2), (second[0].Reason, second[0].ObservedGeneration));
        var third = Conditions.Merge(second, [At(ConditionStatus.True, "C")], 2, Now.AddHours(2));
        Assert.Equal(14, third[0].LastTransitionTime.Hour);
    }

    [Theory]
    [InlineData(1, 1, 1, true, "True", "AllReplicasReady", "False")]
    [InlineData(1, 0, 1, true, "False", "ReplicasNotReady", "True")]
    [InlineData(1, 1, 1, false, "False", "ReplicasNotReady", "True")]
    [InlineData(0, 0, 0, true, "True", "ScaledToZero", "False")]
    public void Ready_and_Progressing_follow_the_workload(int desired, int available, int updated, bool current, string ready, string reason, string progressing)
    {
        var conditions = WorkloadConditions.Of([], false, new WorkloadStatus(desired, updated, updated, available, available, current, false), []).ToDictionary(condition => condition.Type);
        Assert.Equal((ready, reason), (conditions["Ready"].Status.ToString(), conditions["Ready"].Reason));
        Assert.Equal(progressing, conditions["Progressing"].Status.ToString());
        Assert.Equal(ConditionStatus.False, conditions["Degraded"].Status);
    }

    [Fact]
    public void What_keeps_the_workload_from_being_made_is_the_reason_of_not_being_ready()
    {
        var conditions = WorkloadConditions.Of([new(Reasons.ChildNotOwned, "not mine", false)], false, null, []).ToDictionary(condition => condition.Type);
        Assert.Equal((Reasons.ChildNotOwned, "not mine"), (conditions["Ready"].Reason, conditions["Ready"].Message));
        Assert.Equal((ConditionStatus.False, Reasons.Blocked), (conditions["Progressing"].Status, conditions["Progressing"].Reason));
    }

    [Fact]
    public void Pods_that_the_server_refuses_are_told_in_its_words()
    {
        var deployment = new V1Deployment
        {
            Metadata = new V1ObjectMeta { Generation = 1 },
            Spec = new V1DeploymentSpec { Replicas = 1 },
            Status = new V1DeploymentStatus { ObservedGeneration = 1, Conditions = [new V1DeploymentCondition { Type = "ReplicaFailure", Status = "True", Reason = "FailedCreate", Message = "exceeded quota: small" }] },
        };
        var conditions = WorkloadConditions.Of([], false, WorkloadStatus.Of(deployment), []).ToDictionary(condition => condition.Type);
        Assert.Equal((ConditionStatus.False, Reasons.PodsRefused, "exceeded quota: small"), (conditions["Ready"].Status, conditions["Ready"].Reason, conditions["Ready"].Message));
        Assert.Equal((ConditionStatus.True, Reasons.PodsRefused), (conditions["Degraded"].Status, conditions["Degraded"].Reason));
    }

    [Fact]
    public void A_pod_that_waits_for_a_node_is_told_in_the_schedulers_words()
    {
        var pod = new V1Pod
        {
            Metadata = new V1ObjectMeta { Name = "austen-1" },
            Status = new V1PodStatus { Conditions = [new V1PodCondition { Type = "PodScheduled", Status = "False", Reason = "Unschedulable", Message = "0/3 nodes are available: 3 Insufficient memory." }] },
        };
        const string Words = "pod 'austen-1' waits for a node: 0/3 nodes are available: 3 Insufficient memory.";

        var rolling = Of(new WorkloadStatus(2, 2, 2, 1, 1, true, false));
        Assert.Equal((ConditionStatus.False, Reasons.PodsUnscheduled, "1 of 2 pods answer, 2 run the current template; " + Words), (rolling["Ready"].Status, rolling["Ready"].Reason, rolling["Ready"].Message));
        // Nodes may be on their way.
        Assert.Equal(ConditionStatus.False, rolling["Degraded"].Status);

        var stuck = Of(new WorkloadStatus(2, 2, 2, 1, 1, true, true));
        Assert.Equal((Reasons.RolloutStuck, "the rollout has passed its deadline: " + Words), (stuck["Degraded"].Reason, stuck["Degraded"].Message));
        Assert.Equal(stuck["Degraded"].Message, stuck["Progressing"].Message);

        Dictionary<string, PlannedCondition> Of(WorkloadStatus workload)
        {
            var seen = Observation.Of(new Plan([], [], []), [], workload, [pod]);
            return WorkloadConditions.Of(seen.Problems, seen.IsBlocked, seen.Workload, seen.Failures).ToDictionary(condition => condition.Type);
        }
    }

    [Theory]
    [InlineData(null, "1Gi", "ReadWriteOnce", null)]
    [InlineData(null, "3Gi", "ReadWriteOnce", null)]
    [InlineData("fast", "2Gi", "ReadWriteOnce", "spec.store.storageClassName: 'fast' cannot be had: PersistentVolumeClaim 'data' has 'slow'")]
    [InlineData("slow", "500Mi", "ReadWriteOnce", "spec.store.size: '500Mi' cannot be had: PersistentVolumeClaim 'data' has '1Gi'")]
    [InlineData("slow", "1Gi", "ReadWriteMany", "spec.store.accessMode: 'ReadWriteMany' cannot be had: PersistentVolumeClaim 'data' has 'ReadWriteOnce'")]
    public void A_claim_only_grows(string? storageClass, string size, string access, string? refusal)
    {
        static V1PersistentVolumeClaim Claim(string? storageClass, string size, string access) => new()
        {
            Metadata = new V1ObjectMeta { Name = "data" },
            Spec = new V1PersistentVolumeClaimSpec
            {
                AccessModes = [access],
                StorageClassName = storageClass,
                Resources = new V1VolumeResourceRequirements { Requests = new Dictionary<string, ResourceQuantity> { ["storage"] = new(size) } },
            },
        };
        var message = ClaimChange.Refuse(PromptOptimizer.KindName, Claim(storageClass, size, access), Claim("slow", "1Gi", "ReadWriteOnce"))?.Message;
        if (refusal is null)
            Assert.Null(message);
        else
            Assert.StartsWith(refusal, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(137, "Error", "killed by signal 9")]
    [InlineData(137, "OOMKilled", "killed because it needs more memory than its limit")]
    [InlineData(1, "Error", "no such file")]
    public void A_killed_container_is_not_quoted(int code, string reason, string message)
    {
        var ended = new V1ContainerState { Terminated = new V1ContainerStateTerminated { ExitCode = code, Reason = reason, Message = "listening\nno such file" } };
        var pod = new V1Pod { Metadata = new V1ObjectMeta { Name = "p" }, Status = new V1PodStatus { ContainerStatuses = [new V1ContainerStatus { Name = "c", State = ended }] } };
        Assert.EndsWith($": {message}", Assert.Single(ContainerFailure.In([pod])).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_gravest_problem_gives_the_reason_and_all_give_the_message()
    {
        Problem[] problems = [new(Reasons.ServerCapabilityMissing, "old", false), new(Reasons.UnsupportedField, "field", false), new(Reasons.ChildNotOwned, "owned", false)];
        var degraded = WorkloadConditions.Of(problems, false, null, [new ContainerFailure("p", "c", 2, "bad")]).Single(condition => condition.Type == ConditionTypes.Degraded);
        Assert.Equal((Reasons.ChildNotOwned, "owned; container 'c' ended with code 2: bad; field; old"), (degraded.Reason, degraded.Message));
    }
}

public sealed class JobStatusPlannerTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    private static PromptOptimizationJob Job() => new()
    {
        Metadata = new V1ObjectMeta { Name = "j", NamespaceProperty = "n", Generation = 1, Uid = "u" },
        Spec = new PromptOptimizationJobSpec { OptimizerRef = new LocalReference { Name = "o" }, Prompts = ["secret one", "secret two"] },
    };

    private static ServiceJob One(string id, ServiceJobState state, int score = 90) => new()
    {
        Id = id,
        State = state,
        CreatedAt = Now,
        EndedAt = state >= ServiceJobState.Succeeded ? Now.AddMinutes(1) : null,
        Usage = new ServiceUsage { Tokens = 100 },
        Rounds = [new ServiceRound()],
        Result = state == ServiceJobState.Succeeded ? new ServiceResult { Prompt = "a long prompt", ScorePercent = score } : null,
        Failure = state == ServiceJobState.Failed ? new ServiceFailure { Reason = "ModelUnreachable", Message = "no answer" } : null,
    };

    private static string Of(PromptOptimizationJobStatus status, string type) => status.Conditions!.Single(condition => condition.Type == type).Status;

    [Fact]
    public void A_job_is_complete_when_all_its_prompts_are()
    {
        var job = Job();
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Succeeded), One("2", ServiceJobState.Running)], null, Now).Status;
        Assert.Equal(("True", "False"), (Of(job.Status, "Accepted"), Of(job.Status, "Complete")));
        Assert.Null(job.Status.Results);
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Succeeded), One("2", ServiceJobState.Succeeded, 70)], null, Now).Status;
        Assert.True(JobStatusPlanner.HasEnded(job));
        Assert.Equal((70, 2, 200, 2), (job.Status.ScorePercent, job.Status.Rounds, job.Status.Tokens, job.Status.Results!.Count));
        Assert.Equal(["1", "2"], job.Status.JobIds);
    }

    [Theory]
    [InlineData(100_000, true, null, "every prompt has a result")]
    [InlineData(200_000, false, "j-results", "every prompt has a result; they are in the ConfigMap 'j-results'")]
    [InlineData(600_000, false, null, "every prompt has a result; with 1.1 MiB they are too large for the cluster: ask the service for the jobs in status.jobIds")]
    public void Results_too_large_for_a_status_go_into_a_ConfigMap(int length, bool inStatus, string? name, string message)
    {
        var jobs = new[] { One("1", ServiceJobState.Succeeded), One("2", ServiceJobState.Succeeded) };
        jobs[1].Result!.Prompt = new string('x', length);
        jobs[0].Result!.Prompt = new string('ä', length / 2);
        var (status, map) = JobStatusPlanner.Plan(Job(), jobs, null, Now);
        Assert.Equal((inStatus, name, name), (status.Results is not null, status.ResultConfigMapRef?.Name, map?.Metadata.Name));
        Assert.Equal(("True", message), (Of(status, "Complete"), status.Conditions!.Single(condition => condition.Type == "Complete").Message));
        if (map is null)
            return;
        Assert.Equal(["0.json", "1.json"], map.Data.Keys);
        Assert.Equal(jobs[1].Result!.Prompt, Manifests.Convert<OptimizedPrompt>(JsonNode.Parse(map.Data["1.json"])!, "map").Prompt);
        Assert.Equal("u", map.Metadata.OwnerReferences.Single().Uid);
    }

    [Theory]
    [InlineData('.')]
    [InlineData('-')]
    public void The_ConfigMap_of_a_long_name_has_a_name_and_labels_that_the_server_takes(char separator)
    {
        var job = Job();
        job.Metadata.Name = string.Join(separator, Enumerable.Repeat(new string('a', 62), 4));
        var done = One("1", ServiceJobState.Succeeded);
        done.Result!.Prompt = new string('x', 300_000);
        var map = JobResults.Of(job, [done]).Map!;
        Assert.InRange(map.Metadata.Name.Length, 200, 253);
        Assert.All(map.Metadata.Labels.Values, value => Assert.InRange(value.Length, 1, 63));
        Assert.All(map.Metadata.Labels.Values, value => Assert.True(char.IsLetterOrDigit(value[^1])));
    }

    [Theory]
    [InlineData(int.MaxValue, 1, int.MaxValue)]
    [InlineData(long.MaxValue, long.MaxValue, int.MaxValue)]
    [InlineData(-5, 7, 7)]
    public void Tokens_of_a_status_stay_a_number_that_its_field_holds(long one, long other, int expected)
    {
        ServiceJob Spent(string id, long tokens)
        {
            var job = One(id, ServiceJobState.Running);
            job.Usage = new ServiceUsage { Tokens = tokens };
            return job;
        }

        Assert.Equal(expected, JobStatusPlanner.Plan(Job(), [Spent("1", one), Spent("2", other)], null, Now).Status.Tokens);
    }

    [Fact]
    public void A_failed_prompt_fails_the_job_and_its_text_is_told_to_nobody()
    {
        var status = JobStatusPlanner.Plan(Job(), [One("1", ServiceJobState.Succeeded), One("2", ServiceJobState.Failed)], null, Now).Status;
        var failed = status.Conditions!.Single(condition => condition.Type == "Failed");
        Assert.Equal(("True", "prompt 1: ModelUnreachable: no answer"), (failed.Status, failed.Message));
        Assert.DoesNotContain(status.Conditions!, condition => condition.Message.Contains("secret", StringComparison.Ordinal));
    }

    [Fact]
    public void A_job_that_the_service_refuses_has_ended_at_that_time()
    {
        var job = Job();
        var refusal = new Problem(Reasons.JobRefused, "no", Blocks: true);
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running)], refusal, Now).Status;
        Assert.Equal(("True", Now.UtcDateTime), (Of(job.Status, "Failed"), job.Status.CompletionTime));
        Assert.Equal(Now.UtcDateTime, JobStatusPlanner.Plan(job, [], refusal, Now.AddHours(1)).Status.CompletionTime);
    }

    [Fact]
    public void A_job_is_accepted_when_all_its_prompts_are()
    {
        var job = Job();
        var down = new Problem(Reasons.ServiceUnreachable, "down", Blocks: false);
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running)], down, Now).Status;
        Assert.Equal("False", Of(job.Status, "Accepted"));
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running)], down, Now).Status;
        Assert.Equal("False", Of(job.Status, "Accepted"));
    }

    [Fact]
    public void What_is_known_of_a_job_stays_while_the_service_answers_for_fewer()
    {
        var job = Job();
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running), One("2", ServiceJobState.Running)], null, Now).Status;
        var later = One("1", ServiceJobState.Running);
        later.CreatedAt = Now.AddHours(1);
        var status = JobStatusPlanner.Plan(job, [later], new Problem(Reasons.ServiceUnreachable, "down", Blocks: false), Now).Status;
        Assert.Equal(["1", "2"], status.JobIds);
        Assert.Equal(Now.UtcDateTime, status.StartTime);
        Assert.Equal((2, 200), (status.Rounds, status.Tokens));
    }

    [Theory]
    [InlineData("true", "True", "nothing is changed while the annotation moebius.dev/paused is \"true\"")]
    [InlineData("yes", "False", "metadata.annotations[moebius.dev/paused]: 'yes' is neither \"true\" nor \"false\": nothing is paused")]
    [InlineData("false", null, null)]
    [InlineData(null, null, null)]
    public void A_pause_is_told_beside_what_is_known(string? annotation, string? status, string? message)
    {
        var job = Job();
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running), One("2", ServiceJobState.Running)], null, Now).Status;
        if (annotation is not null)
            job.Metadata.Annotations = new Dictionary<string, string> { [Labels.Paused] = annotation };
        foreach (var told in new[] { JobStatusPlanner.Paused(job, Now), JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running), One("2", ServiceJobState.Running)], null, Now).Status })
        {
            var paused = told.Conditions!.SingleOrDefault(condition => condition.Type == ConditionTypes.Paused);
            Assert.Equal((status, message), (paused?.Status, paused?.Message));
            Assert.Equal(("True", "False", 2), (Of(told, "Accepted"), Of(told, "Complete"), told.JobIds!.Count));
        }

        // Nor does it stay when it is over.
        job.Status = JobStatusPlanner.Paused(job, Now);
        job.Metadata.Annotations = null;
        Assert.DoesNotContain(JobStatusPlanner.Paused(job, Now).Conditions!, condition => condition.Type == ConditionTypes.Paused);

        // And where nothing has changed there is nothing to write.
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Succeeded), One("2", ServiceJobState.Succeeded)], null, Now).Status;
        Assert.Equal(Moebius.Operator.Runtime.WireJson.ToNode(job.Status).ToJsonString(), Moebius.Operator.Runtime.WireJson.ToNode(JobStatusPlanner.Paused(job, Now.AddHours(1))).ToJsonString());
    }

    [Fact]
    public void A_service_that_does_not_answer_changes_nothing_that_is_known()
    {
        var job = Job();
        job.Status = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running), One("2", ServiceJobState.Running)], null, Now).Status;
        var later = JobStatusPlanner.Plan(job, [One("1", ServiceJobState.Running)], new Problem(Reasons.ServiceUnreachable, "down", false), Now).Status;
        Assert.Equal(["1", "2"], later.JobIds);
        Assert.Equal(("True", "False"), (Of(later, "Accepted"), Of(later, "Complete")));
    }
}
