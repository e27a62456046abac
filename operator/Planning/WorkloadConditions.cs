namespace Moebius.Operator.Planning;

/// <summary>Ready, Progressing and Degraded of a resource whose children are one workload and what it needs.</summary>
internal static class WorkloadConditions
{
    /// <summary>Derives the three conditions.</summary>
    /// <param name="problems">Problems of the plan and of applying it.</param>
    /// <param name="isBlocked">Whether the plan forbids making anything.</param>
    /// <param name="workload">The workload; null when it does not exist yet.</param>
    /// <param name="failures">Containers that do not run.</param>
    public static IEnumerable<PlannedCondition> Of(IReadOnlyList<Problem> problems, bool isBlocked, WorkloadStatus? workload, IReadOnlyList<ContainerFailure> failures)
    {
        yield return Ready(problems, isBlocked, workload);
        yield return Progressing(problems, isBlocked, workload);
        yield return Degraded(problems, workload, failures);
    }

    private static PlannedCondition Ready(IReadOnlyList<Problem> problems, bool isBlocked, WorkloadStatus? workload)
    {
        if (isBlocked)
        {
            var first = problems.First(problem => problem.Blocks);
            return new(ConditionTypes.Ready, ConditionStatus.False, first.Reason, first.Message);
        }

        if (workload is null)
            return InTheWay(problems) is { } problem
                ? new(ConditionTypes.Ready, ConditionStatus.False, problem.Reason, problem.Message)
                : new(ConditionTypes.Ready, ConditionStatus.False, Reasons.ReplicasNotReady, "nothing runs yet");
        if (workload is { Refusal: { } refusal, Ready: 0 })
            return new(ConditionTypes.Ready, ConditionStatus.False, Reasons.PodsRefused, refusal);
        if (workload is { Desired: 0, IsCurrent: true })
            return new(ConditionTypes.Ready, ConditionStatus.True, Reasons.ScaledToZero, "no pods are asked for");
        if (workload.IsComplete)
            return new(ConditionTypes.Ready, ConditionStatus.True, Reasons.AllReplicasReady, $"{workload.Available} of {workload.Desired} pods answer");
        var counts = $"{workload.Ready} of {workload.Desired} pods answer, {workload.Updated} run the current template";
        return workload.Unscheduled is { } unscheduled
            ? new(ConditionTypes.Ready, ConditionStatus.False, Reasons.PodsUnscheduled, $"{counts}; {unscheduled}")
            : new(ConditionTypes.Ready, ConditionStatus.False, Reasons.ReplicasNotReady, counts);
    }

    private static PlannedCondition Progressing(IReadOnlyList<Problem> problems, bool isBlocked, WorkloadStatus? workload)
    {
        if (isBlocked)
            return new(ConditionTypes.Progressing, ConditionStatus.False, Reasons.Blocked, "nothing is changed until the spec can be honoured");
        if (workload is null && InTheWay(problems) is { } problem)
            return new(ConditionTypes.Progressing, ConditionStatus.False, Reasons.Blocked, problem.Message);
        if (workload?.IsStuck == true)
            return new(ConditionTypes.Progressing, ConditionStatus.False, Reasons.RolloutStuck, Stuck(workload));
        return workload?.IsComplete == true
            ? new(ConditionTypes.Progressing, ConditionStatus.False, Reasons.RolledOut, "all pods run the current template")
            : new(ConditionTypes.Progressing, ConditionStatus.True, Reasons.RollingOut, $"{workload?.Updated ?? 0} of {workload?.Desired ?? 0} pods run the current template; {workload?.Ready ?? 0} answer");
    }

    private static PlannedCondition Degraded(IReadOnlyList<Problem> problems, WorkloadStatus? workload, IReadOnlyList<ContainerFailure> failures)
    {
        var reasons = problems.Select(problem => (Gravity: Gravity(problem), problem.Reason, problem.Message)).ToList();
        reasons.AddRange(failures
            .Select(failure => (2, failure.ExitCode == ContainerFailure.BadInput ? Reasons.ConfigurationRefused : Reasons.ContainerFailed, failure.ToString()))
            .Distinct());
        if (workload?.IsStuck == true)
            reasons.Add((2, Reasons.RolloutStuck, Stuck(workload)));
        if (workload?.Refusal is { } refusal)
            reasons.Add((1, Reasons.PodsRefused, refusal));
        reasons = [.. reasons.OrderBy(one => one.Gravity)];
        return reasons is [var (_, reason, _), ..]
            ? new(ConditionTypes.Degraded, ConditionStatus.True, reason, string.Join("; ", reasons.Select(one => one.Message)))
            : new(ConditionTypes.Degraded, ConditionStatus.False, Reasons.AsExpected, "everything that was asked for is done");
    }

    private static string Stuck(WorkloadStatus workload) => workload.Unscheduled is { } unscheduled
        ? $"the rollout has passed its deadline: {unscheduled}"
        : "the rollout has passed its deadline";

    /// <summary>Why the workload could not be made.</summary>
    private static Problem? InTheWay(IReadOnlyList<Problem> problems) =>
        problems.FirstOrDefault(problem => problem.Reason is Reasons.ChildNotOwned or Reasons.ChildBeingRemoved or Reasons.ChildRejected or Reasons.ApplyConflict);

    /// <summary>The reason of the condition is that of the gravest problem.</summary>
    private static int Gravity(Problem problem) => problem switch
    {
        { Blocks: true } => 0,
        { Reason: Reasons.UnsupportedField } => 3,
        { Reason: Reasons.ServerCapabilityMissing } => 4,
        _ => 1,
    };
}
