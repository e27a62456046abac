using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Policy;

/// <summary>Why a level is out of reach.</summary>
/// <param name="Level">The level.</param>
/// <param name="Reason">A constant, CamelCase.</param>
/// <param name="Message">What a person can act on.</param>
internal sealed record LevelObstacle(SchedulingLevel Level, string Reason, string Message);

/// <summary>The level that a node works at.</summary>
/// <param name="Level">The level.</param>
/// <param name="Acceptable">False when the profile asks to fail rather than fall back this far.</param>
/// <param name="Obstacles">Why not more, best level first.</param>
internal sealed record LevelDecision(SchedulingLevel Level, bool Acceptable, IReadOnlyList<LevelObstacle> Obstacles)
{
    /// <summary>The reason to report: that of the nearest higher level, or the level's own name at the top.</summary>
    public string Reason => Obstacles.Count > 0 ? Obstacles[^1].Reason : $"{Level}";

    /// <summary>All reasons in one line.</summary>
    public string Message => string.Join("; ", Obstacles.Select(obstacle => $"not {obstacle.Level}: {obstacle.Message}"));
}

/// <summary>
/// Chooses the level from what the kernel can do, what memory there is and what the profile asks: the duplex scheduler,
/// else weighted interleave, else observing.
/// </summary>
internal static class LevelPlanner
{
    /// <summary>The reason while another sched_ext scheduler runs the machine.</summary>
    public const string OtherScheduler = "OtherSchedulerLoaded";

    /// <summary>The reason while the kernel has taken the scheduler out.</summary>
    public const string SchedulerExited = "SchedulerExited";

    private const string StrategyForbids = "StrategyForbids";
    private const string NoCxlMemory = "NoCxlMemory";

    /// <summary>
    /// Decides. <paramref name="hasScheduler"/>: the agent was built with a sched_ext scheduler. <paramref name="measured"/>:
    /// bandwidth by node, where it was measured. <paramref name="failure"/>: why the scheduler is not in the kernel, from who
    /// has tried to load it; null while it is, or stands by.
    /// </summary>
    public static LevelDecision Decide(HostKernel kernel, NodeTopology topology, NodeAgentConfig config, bool hasScheduler, IReadOnlyDictionary<int, double>? measured = null, LevelObstacle? failure = null)
    {
        if ((SchedulerObstacle(kernel, topology, config, hasScheduler) ?? failure) is not { } scheduler)
            return new LevelDecision(SchedulingLevel.SchedExt, true, []);
        var acceptable = Acceptable(scheduler, topology, config);
        // A machine that is another scheduler's is left as it is; the own one that was taken out comes again in a moment.
        if (scheduler.Reason is OtherScheduler or SchedulerExited)
            return new LevelDecision(SchedulingLevel.Observe, acceptable, [scheduler]);
        return InterleaveObstacle(scheduler, topology, config, measured) is { } interleave
            ? new LevelDecision(SchedulingLevel.Observe, acceptable, [scheduler, interleave])
            : new LevelDecision(SchedulingLevel.Interleave, acceptable, [scheduler]);
    }

    private static bool Acceptable(LevelObstacle scheduler, NodeTopology topology, NodeAgentConfig config)
    {
        if (config.Policy.Strategy == MemoryStrategy.Observe)
            return true;
        if (!topology.CxlNodes.Any() && config.Fallback.WithoutCxl == CxlFallback.Fail)
            return false;
        // Where the strategy or the memory leaves the scheduler nothing to do, it does not count that it could run.
        return scheduler.Reason is StrategyForbids or NoCxlMemory || config.Fallback.WithoutSchedExt != SchedulerFallback.Fail;
    }

    private static LevelObstacle? SchedulerObstacle(HostKernel kernel, NodeTopology topology, NodeAgentConfig config, bool hasScheduler)
    {
        const SchedulingLevel Level = SchedulingLevel.SchedExt;
        if (config.Policy.Strategy is MemoryStrategy.Observe or MemoryStrategy.Interleave)
            return new LevelObstacle(Level, StrategyForbids, $"policy.strategy is {config.Policy.Strategy}");
        if (kernel.SchedExtState is null)
            return new LevelObstacle(Level, "SchedExtMissing", $"the kernel {kernel.Release} has no sched_ext (needs 6.12 with CONFIG_SCHED_CLASS_EXT)");
        if (!topology.CxlNodes.Any())
            return new LevelObstacle(Level, NoCxlMemory, "no NUMA node has CXL memory");
        return hasScheduler ? null : new LevelObstacle(Level, "SchedulerNotIncluded", "this agent has no duplex scheduler built in");
    }

    private static LevelObstacle? InterleaveObstacle(LevelObstacle scheduler, NodeTopology topology, NodeAgentConfig config, IReadOnlyDictionary<int, double>? measured)
    {
        const SchedulingLevel Level = SchedulingLevel.Interleave;
        if (config.Policy.Strategy == MemoryStrategy.Observe)
            return new LevelObstacle(Level, StrategyForbids, "policy.strategy is Observe");
        // Where the strategy or the memory leaves the scheduler nothing to do, what is asked for without one does not count.
        if (scheduler.Reason is not (StrategyForbids or NoCxlMemory) && config.Fallback.WithoutSchedExt == SchedulerFallback.Observe)
            return new LevelObstacle(Level, "FallbackForbids", "fallback.withoutSchedExt is Observe");
        if (topology.MemoryNodes.Count() < 2)
            return new LevelObstacle(Level, "SingleMemoryNode", "one NUMA node has all the memory: there is nothing to interleave");
        // CXL memory that firmware has set up is a node without processors and nothing more.
        if (!topology.MemoryOnlyNodes.Any())
            return new LevelObstacle(Level, NoCxlMemory, "no NUMA node has CXL memory or other memory without processors");
        if (topology.WeightedInterleave is null)
            return new LevelObstacle(Level, "WeightedInterleaveMissing", InterleavePlanner.KernelLacksIt);
        return InterleavePlanner.Plan(topology, config.Policy, measured).Obstacle is { } obstacle ? new LevelObstacle(Level, obstacle.Reason, obstacle.Message) : null;
    }
}
