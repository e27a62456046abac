using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Policy;

/// <summary>Weights to set, or why none can be chosen.</summary>
/// <param name="Weights">Pages per round by node; empty with an obstacle.</param>
/// <param name="Obstacle">Why there are none; null if there are.</param>
/// <param name="Source">Where they come from: policy, firmware or measurement.</param>
internal sealed record InterleavePlan(IReadOnlyDictionary<int, int> Weights, (string Reason, string Message)? Obstacle, string Source);

/// <summary>
/// Interleave weights in the proportion of bandwidth, so that all nodes finish a sweep together. Small weights are
/// preferred: the round they make is what a thread's pages rotate over.
/// </summary>
internal static class InterleavePlanner
{
    /// <summary>A proportion this close (relative) is good enough to keep the round short.</summary>
    private const double Tolerance = 0.03;

    /// <summary>What is said of a kernel without weighted interleave.</summary>
    public const string KernelLacksIt = "the kernel has no weighted interleave (needs 6.9)";

    /// <summary>The reason that a measurement takes away.</summary>
    public const string BandwidthUnknown = "BandwidthUnknown";

    /// <summary>
    /// Plans from the profile's weights, else from <paramref name="measured"/> (bandwidth by node at the target mix, any
    /// unit), else from the bandwidth that the firmware reports. What was measured and what is reported is never mixed.
    /// </summary>
    public static InterleavePlan Plan(NodeTopology topology, MemoryPolicySpec policy, IReadOnlyDictionary<int, double>? measured = null)
    {
        var nodes = topology.MemoryNodes.ToList();
        if (policy.InterleaveWeights is { Count: > 0 } wanted)
        {
            var unknown = wanted.Where(weight => nodes.TrueForAll(node => node.Id != weight.Node)).Select(weight => weight.Node).ToList();
            return unknown.Count > 0
                ? Refuse("UnknownNode", $"policy.interleaveWeights names the nodes {string.Join(", ", unknown)}, which have no memory here; the nodes with memory are {string.Join(", ", nodes.Select(node => node.Id))}")
                : new InterleavePlan(wanted.ToDictionary(weight => weight.Node, weight => weight.Weight), null, "policy");
        }

        var bandwidths = nodes.ConvertAll(node => measured is null ? Bandwidth(node, policy) : measured.TryGetValue(node.Id, out var value) ? value : null);
        var silent = nodes.Where((_, index) => bandwidths[index] is null).Select(node => node.Id).ToList();
        if (silent.Count > 0)
            return Refuse(BandwidthUnknown, $"the firmware reports no bandwidth for the nodes {string.Join(", ", silent)}; set policy.interleaveWeights");
        var weights = Proportional([.. bandwidths.Select(bandwidth => bandwidth!.Value)]);
        return new InterleavePlan(nodes.Select((node, index) => (node.Id, Weight: weights[index])).ToDictionary(pair => pair.Id, pair => pair.Weight), null, measured is null ? "firmware" : "measurement");
    }

    /// <summary>
    /// The weights that are in force at a level: at Interleave those of the plan, at SchedExt those that the profile names,
    /// null where none are.
    /// </summary>
    public static InterleavePlan? At(SchedulingLevel level, NodeTopology topology, MemoryPolicySpec policy, IReadOnlyDictionary<int, double>? measured = null) => level switch
    {
        SchedulingLevel.Interleave => Plan(topology, policy, measured),
        SchedulingLevel.SchedExt when policy.InterleaveWeights is { Count: > 0 } =>
            topology.WeightedInterleave is null ? Refuse("WeightedInterleaveMissing", KernelLacksIt) : Plan(topology, policy, measured),
        _ => null,
    };

    /// <summary>
    /// Whole weights from 1 to 255 in the proportion of positive numbers: the smallest set within the tolerance, else the
    /// nearest there is.
    /// </summary>
    internal static int[] Proportional(double[] shares)
    {
        var largest = shares.Max();
        int[] best = [];
        var bestError = double.MaxValue;
        for (var top = 1; top <= WeightedInterleave.MaximumWeight; top++)
        {
            var weights = Array.ConvertAll(shares, share => Math.Clamp((int)Math.Round(share / largest * top), WeightedInterleave.MinimumWeight, WeightedInterleave.MaximumWeight));
            var error = shares.Select((share, index) => Math.Abs(weights[index] / (share / largest * top) - 1)).Max();
            if (error < bestError)
                (best, bestError) = (weights, error);
            if (error <= Tolerance)
                break;
        }

        return best;
    }

    private static InterleavePlan Refuse(string reason, string message) => new(new Dictionary<int, int>(), (reason, message), "none");

    /// <summary>Bandwidth at the read share that traffic is steered to; null if the firmware says none.</summary>
    private static double? Bandwidth(NumaNode node, MemoryPolicySpec policy)
    {
        var (read, write) = (node.Performance?.ReadBandwidth, node.Performance?.WriteBandwidth);
        if ((read ?? write) is null)
            return null;
        // Time for one byte of the mix, each direction at its own rate.
        var reads = policy.TargetReadPercent / 100.0;
        return 1 / (reads / (read ?? write)!.Value + (1 - reads) / (write ?? read)!.Value);
    }
}
