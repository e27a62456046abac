using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Policy;

/// <summary>Run time of a window, in CPUs: 1.5 is one CPU and a half, all the time.</summary>
/// <param name="Readers">Of read-heavy tasks.</param>
/// <param name="Writers">Of write-heavy tasks.</param>
internal readonly record struct DirectionLoad(double Readers, double Writers);

/// <summary>The duplex scheduler's parameters for a strategy, and its lanes. Pure.</summary>
internal static class DuplexPlanner
{
    /// <summary>The longest stint.</summary>
    internal const ulong SliceNs = 3_000_000;

    private const ulong MinimumNs = 500_000;
    private const ulong MillisecondNs = 1_000_000;

    /// <summary>The heavier direction keeps at least this share of all CPUs, however light the other one is.</summary>
    internal const double Floor = 0.25;

    /// <summary>A limit is lifted when the direction uses less than this share of it.</summary>
    private const double Release = 0.8;

    /// <summary>
    /// Parameters for <paramref name="strategy"/> (one of DuplexPair, DuplexToken, LatencyGuard).
    /// </summary>
    /// <param name="strategy">The strategy in force.</param>
    /// <param name="policy">The profile's policy.</param>
    /// <param name="load">What readers and writers got in the last window.</param>
    /// <param name="cpus">CPUs that are online.</param>
    /// <param name="current">The parameters in force.</param>
    public static DuplexParameters Plan(MemoryStrategy strategy, MemoryPolicySpec policy, DirectionLoad load, int cpus, in DuplexParameters current)
    {
        var parameters = new DuplexParameters
        {
            SliceNs = SliceNs,
            MinimumNs = MinimumNs,
            AgingNs = (ulong)Durations.Parse(policy.AgingLimit, "policy.agingLimit").TotalNanoseconds,
            Limited = DuplexParameters.NoClass,
            Pair = strategy is MemoryStrategy.DuplexPair or MemoryStrategy.DuplexToken ? 1u : 0,
            Guard = strategy == MemoryStrategy.LatencyGuard ? 1u : 0,
        };
        if (strategy != MemoryStrategy.DuplexToken)
            return parameters;

        // Time stands in for traffic: what readers get follows what writers get in the proportion of the target.
        var target = policy.TargetReadPercent / 100.0;
        var allowedReaders = load.Writers * target / (1 - target);
        var readersAreHeavier = load.Readers > allowedReaders;
        var (heavier, allowed, limited) = readersAreHeavier
            ? (load.Readers, allowedReaders, DuplexClass.Read)
            : (load.Writers, load.Readers * (1 - target) / target, DuplexClass.Write);
        allowed = Math.Max(allowed, Floor * cpus);
        var inForce = current.Limited == (uint)limited;
        if (heavier > allowed || (inForce && heavier > Release * allowed))
        {
            parameters.Limited = (uint)limited;
            parameters.RefillNs = (ulong)(allowed * MillisecondNs);
            // A stint per CPU may be saved up, so that the limit does not cut stints short.
            parameters.BurstNs = SliceNs * (ulong)Math.Max(1, cpus);
        }

        return parameters;
    }

    /// <summary>
    /// Lanes in the proportion of the target, spread evenly over the CPUs of each group that shares a link.
    /// </summary>
    public static Dictionary<int, DuplexClass> Lanes(IEnumerable<IReadOnlyList<int>> groups, int targetReadPercent)
    {
        var lanes = new Dictionary<int, DuplexClass>();
        foreach (var group in groups)
        {
            var writers = 100 - targetReadPercent;
            for (var i = 0; i < group.Count; i++)
                lanes[group[i]] = (i + 1) * writers / 100 > i * writers / 100 ? DuplexClass.Write : DuplexClass.Read;
        }

        return lanes;
    }

    /// <summary>The class of an intent; null for Unknown, which needs no hint.</summary>
    public static DuplexClass? ClassOf(MemoryIntent intent) => intent switch
    {
        MemoryIntent.ReadHeavy => DuplexClass.Read,
        MemoryIntent.WriteHeavy => DuplexClass.Write,
        MemoryIntent.Balanced => DuplexClass.Balanced,
        MemoryIntent.Latency => DuplexClass.Latency,
        _ => null,
    };

    /// <summary>
    /// The longest wait of a task that may run on all of the CPUs, among so many runnable ones: the aging limit twice, then
    /// everybody who came before or shortly after, and a latency task between each two. A stint ends with a tick of the
    /// kernel's timer.
    /// </summary>
    public static TimeSpan WaitBound(in DuplexParameters parameters, int runnable, int cpus, TimeSpan tick)
    {
        var rounds = 2 * ((Math.Max(runnable, 1) - 1 + cpus - 1) / cpus) + 1;
        return TimeSpan.FromMilliseconds((2 * parameters.AgingNs + rounds * (parameters.SliceNs + tick.TotalNanoseconds)) / 1e6);
    }
}
