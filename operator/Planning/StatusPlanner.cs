using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Planning;

/// <summary>What is seen of a resource's children.</summary>
/// <param name="Problems">Problems of the plan, then of applying it.</param>
/// <param name="IsBlocked">Whether the plan forbids making anything.</param>
/// <param name="Workload">The Deployment or DaemonSet; null when it does not exist.</param>
/// <param name="Failures">Containers that do not run.</param>
internal sealed record Observation(IReadOnlyList<Problem> Problems, bool IsBlocked, WorkloadStatus? Workload, IReadOnlyList<ContainerFailure> Failures)
{
    public static Observation Of(Plan plan, IReadOnlyList<Problem> applying, WorkloadStatus? workload, IEnumerable<V1Pod> pods) =>
        new([.. plan.Problems, .. applying], plan.IsBlocked, workload, ContainerFailure.In(pods));
}

/// <summary>The status of each kind, as a function of the resource, its plan and what is seen. Times are kept where nothing has changed.</summary>
internal static class StatusPlanner
{
    public static MoEDeploymentStatus MoEDeployment(MoEDeployment resource, Plan plan, Observation seen, DateTimeOffset now)
    {
        var conditions = WorkloadConditions.Of(seen.Problems, seen.IsBlocked, seen.Workload, seen.Failures).ToList();
        conditions.AddRange(plan.Conditions);
        conditions.Add(ModelLoaded(seen));
        conditions.Add(KVCacheReady(resource, seen));
        return new MoEDeploymentStatus
        {
            ObservedGeneration = resource.Metadata.Generation,
            Conditions = Conditions.Merge(resource.Status?.Conditions, conditions, resource.Metadata.Generation, now),
            Replicas = seen.Workload?.Existing ?? 0,
            ReadyReplicas = seen.Workload?.Ready ?? 0,
            Selector = string.Join(',', Labels.Selector(Components.Inference, resource.Metadata.Name).Select(label => $"{label.Key}={label.Value}")),
            // Of a spec that breaks rules nothing is known for certain.
            Model = plan.IsBlocked ? resource.Status?.Model : MoEDeploymentPlanner.ModelName(resource),
            Endpoint = plan.IsBlocked ? resource.Status?.Endpoint : MoEDeploymentPlanner.Endpoint(resource),
        };
    }

    public static PromptOptimizerStatus PromptOptimizer(PromptOptimizer resource, Plan plan, Observation seen, DateTimeOffset now) => new()
    {
        ObservedGeneration = resource.Metadata.Generation,
        Conditions = Conditions.Merge(
            resource.Status?.Conditions,
            WorkloadConditions.Of(seen.Problems, seen.IsBlocked, seen.Workload, seen.Failures).Concat(plan.Conditions),
            resource.Metadata.Generation,
            now),
        Endpoint = plan.IsBlocked ? resource.Status?.Endpoint : PromptOptimizerPlanner.Endpoint(resource),
    };

    public static MemorySchedulingProfileStatus MemorySchedulingProfile(MemorySchedulingProfile resource, Observation seen, DateTimeOffset now) => new()
    {
        ObservedGeneration = resource.Metadata.Generation,
        Conditions = Conditions.Merge(
            resource.Status?.Conditions,
            WorkloadConditions.Of(seen.Problems, seen.IsBlocked, seen.Workload, seen.Failures),
            resource.Metadata.Generation,
            now),
        DesiredNodes = seen.Workload?.Desired ?? 0,
        ReadyNodes = seen.Workload?.Ready ?? 0,
        Nodes = resource.Status?.Nodes,
    };

    public static KVPrivacyPolicyStatus KVPrivacyPolicy(KVPrivacyPolicy resource, IReadOnlyList<Problem> problems, IEnumerable<MoEDeployment> users, DateTimeOffset now)
    {
        const int MaxUsers = 100;
        var names = users.Select(user => user.Metadata.Name).Order(StringComparer.Ordinal).ToList();
        var blocking = problems.FirstOrDefault(problem => problem.Blocks);
        PlannedCondition[] conditions =
        [
            blocking is null
                ? new(ConditionTypes.Ready, ConditionStatus.True, Reasons.Rendered, $"generation {resource.Metadata.Generation} is in ConfigMap '{Names.Policy(resource.Metadata.Name)}'")
                : new(ConditionTypes.Ready, ConditionStatus.False, blocking.Reason, blocking.Message),
            problems is [var first, ..]
                ? new(ConditionTypes.Degraded, ConditionStatus.True, first.Reason, string.Join("; ", problems.Select(problem => problem.Message)))
                : new(ConditionTypes.Degraded, ConditionStatus.False, Reasons.AsExpected, "everything that was asked for is done"),
        ];
        return new KVPrivacyPolicyStatus
        {
            ObservedGeneration = resource.Metadata.Generation,
            Conditions = Conditions.Merge(resource.Status?.Conditions, conditions, resource.Metadata.Generation, now),
            Users = names.Count == 0 ? null : [.. names.Take(MaxUsers).Select(name => new PolicyUser { Name = name })],
            UserCount = names.Count,
        };
    }

    private static PlannedCondition ModelLoaded(Observation seen)
    {
        if (seen.Failures.FirstOrDefault(failure => failure.Container == InferencePod.InferenceContainer && failure.ExitCode is not null) is { } failure)
        {
            var refused = failure.ExitCode == ContainerFailure.BadInput;
            return new(ConditionTypes.ModelLoaded, ConditionStatus.False, refused ? Reasons.ModelRefused : Reasons.ContainerFailed, refused ? failure.Message : failure.ToString());
        }

        return seen.Workload is { Ready: > 0 }
            ? new(ConditionTypes.ModelLoaded, ConditionStatus.True, Reasons.Loaded, "the model is loaded")
            : new(ConditionTypes.ModelLoaded, ConditionStatus.False, Reasons.Loading, "no pod has loaded the model yet");
    }

    private static PlannedCondition KVCacheReady(MoEDeployment resource, Observation seen)
    {
        if (resource.Spec?.KVCache?.Enabled == false)
            return new(ConditionTypes.KVCacheReady, ConditionStatus.False, Reasons.Disabled, "spec.kvCache.enabled is false");
        if (seen.Failures.FirstOrDefault(failure => failure.Container == InferencePod.KVCacheContainer) is { } failure)
            return new(ConditionTypes.KVCacheReady, ConditionStatus.False, Reasons.ContainerFailed, failure.ToString());
        return seen.Workload is { Ready: > 0 }
            ? new(ConditionTypes.KVCacheReady, ConditionStatus.True, Reasons.AsExpected, "the cache answers")
            : new(ConditionTypes.KVCacheReady, ConditionStatus.False, Reasons.NotReady, "no pod answers yet");
    }
}
