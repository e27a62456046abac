using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>A pod for which the scheduler has found no node.</summary>
internal static class UnscheduledPod
{
    private const int MaxMessage = 512;

    /// <summary>The first of these pods that waits for a node, and why; null when none does.</summary>
    public static string? In(IEnumerable<V1Pod> pods) => pods
        .Where(pod => pod.Metadata.DeletionTimestamp is null)
        .OrderBy(pod => pod.Metadata.Name, StringComparer.Ordinal)
        .Select(Of)
        .FirstOrDefault(message => message is not null);

    private static string? Of(V1Pod pod)
    {
        if (pod.Status?.Conditions?.FirstOrDefault(condition => condition is { Type: "PodScheduled", Status: "False" }) is not { } condition)
            return null;
        var why = string.IsNullOrWhiteSpace(condition.Message) ? condition.Reason ?? "the scheduler gives no reason" : condition.Message.Trim();
        return $"pod '{pod.Metadata.Name}' waits for a node: {(why.Length > MaxMessage ? why[..MaxMessage] : why)}";
    }
}
