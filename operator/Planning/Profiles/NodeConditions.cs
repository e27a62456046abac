using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.Profiles;

/// <summary>What the nodes' own reports come to.</summary>
internal static class NodeConditions
{
    private const int MostNamed = 3;

    /// <summary>
    /// Reasons of agents that somebody can do something about: a program that the kernel refuses, a right that is missing,
    /// a scheduler that was taken out. What a node's hardware or kernel simply does not have is no failure.
    /// </summary>
    private static readonly HashSet<string> Failures =
    [
        "BPFObjectMissing", "CapabilityMissing", "NotPermitted", "KernelLockdown", "LibbpfMissing", "LibbpfTooOld", "ProgramRejected", "LoadFailed",
        "SchedulerRejected", "SchedulerLoadFailed", "SchedulerExited", "OtherSchedulerLoaded", "InterleaveRefused", "OtherAgentRunning", "UnknownNode",
    ];

    /// <summary>The condition NodesAsExpected; nothing while no agent answers.</summary>
    public static IEnumerable<PlannedCondition> Of(IReadOnlyList<NodeMemoryStatus> nodes)
    {
        if (nodes.Count == 0)
            yield break;
        var failed = nodes.Select(Failure).OfType<NodeFailure>().ToList();
        if (failed.Count == 0)
        {
            yield return new(ConditionTypes.NodesAsExpected, ConditionStatus.True, Reasons.AsExpected, $"{nodes.Count} agents do what their nodes allow");
            yield break;
        }

        var worst = failed.GroupBy(node => node.Reason).OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal).First().Key;
        var named = failed.OrderByDescending(node => node.Reason == worst).Take(MostNamed).Select(node => $"{node.Node}: {node.Reason}: {node.Message}");
        yield return new(
            ConditionTypes.NodesAsExpected,
            ConditionStatus.False,
            worst,
            $"{failed.Count} of {nodes.Count} nodes: {string.Join("; ", named)}{(failed.Count > MostNamed ? "; ..." : "")}");
    }

    /// <summary>What failed on a node, else what its agent cannot honour; null where all is well.</summary>
    private static NodeFailure? Failure(NodeMemoryStatus node) => node switch
    {
        { Reason: { } reason } when Failures.Contains(reason) => new NodeFailure(node.Name, reason, node.Message),
        { NotHonoured: [var first, .. var more] } => new NodeFailure(node.Name, Reasons.SettingNotHonoured, more.Count == 0 ? first : $"{first} (and {more.Count} more)"),
        _ => null,
    };

    private sealed record NodeFailure(string Node, string Reason, string? Message);
}
