using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>How far a workload's pods are.</summary>
/// <param name="Desired">Pods that are wanted.</param>
/// <param name="Existing">Pods that exist.</param>
/// <param name="Updated">Pods of the current template.</param>
/// <param name="Ready">Pods that answer.</param>
/// <param name="Available">Pods that have answered long enough.</param>
/// <param name="IsCurrent">Whether the counts are about the current spec.</param>
/// <param name="IsStuck">Whether the rollout has passed its deadline.</param>
/// <param name="Refusal">Why pods are not made, such as a quota or a Pod Security level; null when they are.</param>
/// <param name="Unscheduled">Which pod waits for a node, in the scheduler's words; null when none does.</param>
internal sealed record WorkloadStatus(int Desired, int Existing, int Updated, int Ready, int Available, bool IsCurrent, bool IsStuck, string? Refusal = null, string? Unscheduled = null)
{
    /// <summary>The annotation <see cref="Labels.ModelSource"/> of the template that is in force; null where it has none.</summary>
    public string? ModelSource { get; init; }

    public bool IsComplete => IsCurrent && Updated >= Desired && Available >= Desired && Existing <= Math.Max(Desired, Updated);

    /// <summary>The status of a Deployment; null when there is none yet.</summary>
    public static WorkloadStatus? Of(V1Deployment? deployment)
    {
        if (deployment is null)
            return null;
        var status = deployment.Status;
        return new WorkloadStatus(
            deployment.Spec.Replicas ?? 1,
            status?.Replicas ?? 0,
            status?.UpdatedReplicas ?? 0,
            status?.ReadyReplicas ?? 0,
            status?.AvailableReplicas ?? 0,
            status?.ObservedGeneration >= deployment.Metadata.Generation,
            status?.Conditions?.Any(condition => condition is { Type: "Progressing", Status: "False", Reason: "ProgressDeadlineExceeded" }) == true,
            status?.Conditions?.FirstOrDefault(condition => condition is { Type: "ReplicaFailure", Status: "True" })?.Message)
        {
            ModelSource = Labels.ModelSourceOf(deployment.Spec.Template?.Metadata),
        };
    }

    /// <summary>The status of a DaemonSet; null when there is none yet.</summary>
    public static WorkloadStatus? Of(V1DaemonSet? daemonSet)
    {
        if (daemonSet is null)
            return null;
        var status = daemonSet.Status;
        return new WorkloadStatus(
            status?.DesiredNumberScheduled ?? 0,
            status?.CurrentNumberScheduled ?? 0,
            status?.UpdatedNumberScheduled ?? 0,
            status?.NumberReady ?? 0,
            status?.NumberAvailable ?? 0,
            status?.ObservedGeneration >= daemonSet.Metadata.Generation,
            IsStuck: false);
    }
}
