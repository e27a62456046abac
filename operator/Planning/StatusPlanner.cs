using k8s.Models;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Planning;

/// <summary>What is seen of a resource's children.</summary>
/// <param name="Problems">Problems of the plan, then of applying it.</param>
/// <param name="IsBlocked">Whether the plan forbids making anything.</param>
/// <param name="Workload">The Deployment or DaemonSet; null when it does not exist.</param>
/// <param name="Failures">Containers that do not run.</param>
internal sealed record Observation(IReadOnlyList<Problem> Problems, bool IsBlocked, WorkloadStatus? Workload, IReadOnlyList<ContainerFailure> Failures)
{
    /// <summary>The annotations <see cref="Labels.ModelSource"/> of the pods that answer; null where no pod is known.</summary>
    public IReadOnlyList<string>? Serving { get; init; }

    public static Observation Of(Plan plan, IReadOnlyList<Problem> applying, WorkloadStatus? workload, IReadOnlyList<V1Pod> pods) =>
        new([.. plan.Problems, .. applying], plan.IsBlocked, workload is null ? null : workload with { Unscheduled = UnscheduledPod.In(pods) }, ContainerFailure.In(pods))
        {
            Serving = pods.Count == 0 ? null : [.. pods.Where(Answers).Select(pod => Labels.ModelSourceOf(pod.Metadata)).OfType<string>().Distinct()],
        };

    private static bool Answers(V1Pod pod) =>
        pod.Metadata.DeletionTimestamp is null && pod.Status?.Conditions?.Any(condition => condition is { Type: "Ready", Status: "True" }) == true;
}

/// <summary>The status of each kind, as a function of the resource, its plan and what is seen. Times are kept where nothing has changed.</summary>
internal static class StatusPlanner
{
    /// <summary>Users that the status of a policy lists.</summary>
    public const int MaxUsers = 100;

    public static MoEDeploymentStatus MoEDeployment(MoEDeployment resource, Plan plan, ModelPreparation preparation, Observation seen, DateTimeOffset now)
    {
        var conditions = WorkloadConditions.Of(seen.Problems, seen.IsBlocked, seen.Workload, seen.Failures).Select(condition => WhileFetching(condition, resource, plan, seen)).ToList();
        conditions.AddRange(plan.Conditions.Where(condition => condition.Type != ConditionTypes.MemoryFits));
        if (plan.Conditions.FirstOrDefault(condition => condition.Type == ConditionTypes.MemoryFits) is { } fits)
            conditions.Add(MemoryFits(fits, seen));
        var isInvalid = plan.Problems.Any(problem => problem is { Reason: Reasons.InvalidSpec, Blocks: true });
        conditions.Add(ModelLoaded(resource, seen, isInvalid, ServesAnotherSource(resource, plan, seen)));
        conditions.Add(KVCacheReady(resource, seen));
        return new MoEDeploymentStatus
        {
            ObservedGeneration = resource.Metadata.Generation,
            Conditions = PausedConditions.Merge(resource.Status?.Conditions, conditions, plan, resource.Metadata.Generation, now),
            Replicas = seen.Workload?.Existing ?? 0,
            ReadyReplicas = seen.Workload?.Ready ?? 0,
            Selector = string.Join(',', Labels.Selector(Components.Inference, resource.Metadata.Name).Select(label => $"{label.Key}={label.Value}")),
            // Of a spec that breaks rules nothing is known for certain.
            Model = isInvalid || plan.Behind is not null ? resource.Status?.Model : MoEDeploymentPlanner.ModelName(resource),
            Endpoint = IsServed(plan) ? MoEDeploymentPlanner.Endpoint(resource) : resource.Status?.Endpoint,
            Memory = Memory(resource, preparation.Facts),
        };
    }

    /// <summary>Whether the Service is there, or made now: before that nothing answers at its address.</summary>
    private static bool IsServed(Plan plan) => plan.Behind is null && plan.Children.OfType<V1Service>().Any();

    public static PromptOptimizerStatus PromptOptimizer(PromptOptimizer resource, Plan plan, Observation seen, DateTimeOffset now) => new()
    {
        ObservedGeneration = resource.Metadata.Generation,
        Conditions = PausedConditions.Merge(
            resource.Status?.Conditions,
            WorkloadConditions.Of(seen.Problems, seen.IsBlocked, seen.Workload, seen.Failures).Concat(plan.Conditions),
            plan,
            resource.Metadata.Generation,
            now),
        Endpoint = IsServed(plan) ? PromptOptimizerPlanner.Endpoint(resource) : resource.Status?.Endpoint,
    };

    public static MemorySchedulingProfileStatus MemorySchedulingProfile(MemorySchedulingProfile resource, Plan plan, Observation seen, IReadOnlyList<NodeMemoryStatus> nodes, DateTimeOffset now) => new()
    {
        ObservedGeneration = resource.Metadata.Generation,
        Conditions = PausedConditions.Merge(
            resource.Status?.Conditions,
            WorkloadConditions.Of(seen.Problems, seen.IsBlocked, seen.Workload, seen.Failures).Select(condition => ForNodes(condition, resource, seen.Workload)).Concat(NodeConditions.Of(nodes)).Concat(plan.Conditions),
            plan,
            resource.Metadata.Generation,
            now),
        DesiredNodes = seen.Workload?.Desired ?? 0,
        ReadyNodes = seen.Workload?.Ready ?? 0,
        Nodes = nodes.Count == 0 ? null : [.. nodes],
    };

    /// <summary>
    /// Before there is a workload, where the one there is was stopped, or where it serves another source, what is waited for is
    /// the model.
    /// </summary>
    private static PlannedCondition WhileFetching(PlannedCondition condition, MoEDeployment resource, Plan plan, Observation seen)
    {
        if (plan.Conditions.FirstOrDefault(one => one is { Type: ConditionTypes.ModelFetched, Status: ConditionStatus.False }) is not { } fetched)
            return condition;
        var isOld = ServesAnotherSource(resource, plan, seen);
        return condition.Type switch
        {
            ConditionTypes.Ready when (seen.Workload is null && condition.Reason == Reasons.ReplicasNotReady)
                || (seen.Workload is not null && plan.IsPartial && condition.Reason == Reasons.ScaledToZero)
                || (isOld && condition.Status == ConditionStatus.True) =>
                condition with { Status = ConditionStatus.False, Reason = fetched.Reason, Message = fetched.Message },
            // Of a rollout that is complete there is nothing to say: what moves, or has stopped, is the download.
            ConditionTypes.Progressing when isOld && condition.Reason == Reasons.RolledOut =>
                condition with { Status = fetched.Reason == Reasons.FetchFailed ? ConditionStatus.False : ConditionStatus.True, Reason = fetched.Reason, Message = fetched.Message },
            _ => condition,
        };
    }

    /// <summary>
    /// Whether pods go on with the source of before while the spec's is fetched. The same source may be prepared by another Job
    /// after an upgrade of the operator: then what runs is what is asked for.
    /// </summary>
    private static bool ServesAnotherSource(MoEDeployment resource, Plan plan, Observation seen) =>
        plan.IsPartial && seen.Workload is { } workload && workload.ModelSource != ModelFetch.SizeKey(resource.Spec);

    /// <summary>A profile asks for no number of pods: its nodes do. A DaemonSet does not say why it cannot make one.</summary>
    private static PlannedCondition ForNodes(PlannedCondition condition, MemorySchedulingProfile profile, WorkloadStatus? agents) => condition switch
    {
        { Type: ConditionTypes.Ready, Reason: Reasons.ScaledToZero } =>
            condition with { Reason = Reasons.NoNodes, Message = "no node has the labels of spec.nodeSelector and is free of stronger profiles and taints" },
        { Type: ConditionTypes.Ready, Reason: Reasons.ReplicasNotReady } when agents is { IsCurrent: true } && agents.Existing < agents.Desired =>
            condition with { Message = $"{condition.Message}; {agents.Desired - agents.Existing} are not made yet; if it stays so, the events of DaemonSet '{Names.NodeAgent(profile.Metadata.Name)}' say why" },
        _ => condition,
    };

    public static KVPrivacyPolicyStatus KVPrivacyPolicy(KVPrivacyPolicy resource, IReadOnlyList<Problem> problems, Plan plan, IReadOnlyList<PolicyUser> users, DateTimeOffset now)
    {
        var blocking = problems.FirstOrDefault(problem => problem.Blocks);
        PlannedCondition[] conditions =
        [
            blocking is null
                ? new(ConditionTypes.Ready, ConditionStatus.True, Reasons.Rendered, $"generation {resource.Metadata.Generation} is in ConfigMap '{Names.Policy(resource.Metadata.Name)}'")
                : new(ConditionTypes.Ready, ConditionStatus.False, blocking.Reason, blocking.Message),
            problems is [var first, ..]
                ? new(ConditionTypes.Degraded, ConditionStatus.True, first.Reason, string.Join("; ", problems.Select(problem => problem.Message)))
                : new(ConditionTypes.Degraded, ConditionStatus.False, Reasons.AsExpected, "everything that was asked for is done"),
            .. plan.Conditions,
        ];
        return new KVPrivacyPolicyStatus
        {
            ObservedGeneration = resource.Metadata.Generation,
            Conditions = PausedConditions.Merge(resource.Status?.Conditions, conditions, plan, resource.Metadata.Generation, now),
            Users = users.Count == 0 ? null : [.. users.Take(MaxUsers)],
            UserCount = users.Count,
        };
    }

    private static ModelMemoryStatus? Memory(MoEDeployment resource, ModelFacts? facts)
    {
        // A spec that breaks rules has no budget to hold the sizes against.
        if (facts is null || SpecCheck.Errors(resource.Spec, "spec").Count > 0)
            return resource.Status?.Memory;
        var need = MemorySizing.Plan(facts, PodMemory.Budget(resource.Spec));
        return new ModelMemoryStatus
        {
            Source = ModelFetch.SizeKey(resource.Spec),
            DenseBytes = facts.DenseBytes,
            ExpertBytes = facts.ExpertBytes,
            SmallestExpertBytes = facts.SmallestExpertBytes,
            KVBytesPerToken = facts.KVBytesPerToken,
            StepBytesPerToken = facts.StepBytesPerToken > 0 ? facts.StepBytesPerToken : null,
            Predictor = facts.Predictor is { } predictor
                ? new ModelPredictorStatus { Bytes = predictor.Bytes, BytesPerLayerAhead = predictor.BytesPerLayerAhead, Layers = predictor.Layers, StepBytesPerLayerAhead = predictor.StepBytesPerLayerAhead }
                : null,
            NeededBytes = need.Needed,
            ProposedExpertBytes = need.ProposedFastMemory,
        };
    }

    /// <summary>The check inside a pod knows the node's memory too, which the plan does not.</summary>
    private static PlannedCondition MemoryFits(PlannedCondition planned, Observation seen) =>
        seen.Failures.FirstOrDefault(failure => failure is { Container: ModelSizeCheck.ContainerName, ExitCode: ContainerFailure.BadInput }) is { } failure
            ? new(ConditionTypes.MemoryFits, ConditionStatus.False, Reasons.InsufficientMemory, failure.Message)
            : planned;

    private static PlannedCondition ModelLoaded(MoEDeployment resource, Observation seen, bool isInvalid, bool isOfAnotherSource)
    {
        if (seen.Failures.FirstOrDefault(failure => failure.Container == InferencePod.InferenceContainer && failure.ExitCode is not null) is { } failure)
        {
            var refused = failure.ExitCode == ContainerFailure.BadInput;
            return new(ConditionTypes.ModelLoaded, ConditionStatus.False, refused ? Reasons.ModelRefused : Reasons.ContainerFailed, refused ? failure.Message : failure.ToString());
        }

        // While pods are replaced those of before answer, too: with their own model. A spec that breaks rules names none.
        var others = !isInvalid && seen.Serving is { } serving && !serving.Contains(ModelFetch.SizeKey(resource.Spec)) ? serving : null;
        return seen.Workload is { Ready: > 0 } && !isOfAnotherSource && others is null
            ? new(ConditionTypes.ModelLoaded, ConditionStatus.True, Reasons.Loaded, "the model is loaded")
            : new(ConditionTypes.ModelLoaded, ConditionStatus.False, Reasons.Loading, others is { Count: > 0 } ? "no pod has loaded the model yet: those that answer have that of before" : "no pod has loaded the model yet");
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
