using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Hints;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Agent;

/// <content>What the agent says: its report and its log.</content>
internal sealed partial class NodeAgent
{
    private AgentStatus Report(IReadOnlyList<CgroupActivity> activity, ObserverSnapshot? snapshot)
    {
        // What is so now: the kernel may have taken the scheduler out since the level was chosen.
        var now = keeper is { State: { Failed: true } state }
            ? level with
            {
                Level = SchedulingLevel.Observe,
                Acceptable = options.Config.Fallback.WithoutSchedExt != SchedulerFallback.Fail,
                Obstacles = [new LevelObstacle(SchedulingLevel.SchedExt, state.Reason, state.Message)],
            }
            : level;
        return Report(now, keeper is null ? kernel : HostKernel.Read(options.Sysfs, options.Procfs), activity, snapshot);
    }

    private AgentStatus Report(LevelDecision level, HostKernel kernel, IReadOnlyList<CgroupActivity> activity, ObserverSnapshot? snapshot) => new()
    {
        Name = options.NodeName,
        Ready = level.Acceptable,
        Level = level.Level,
        // Without the observer the node does less than observe: that comes first.
        Reason = observer.Observer is null ? observer.Reason : StandingBy?.Reason ?? level.Reason,
        Message = observer.Observer is null ? $"not counting: {observer.Message}; {level.Message}" : StandingBy?.Message ?? level.Message,
        Kernel = kernel.Release,
        Scheduler = kernel.SchedExtState is null ? "none" : kernel.SchedExtScheduler ?? kernel.SchedExtState,
        TelemetrySource = observer.Source,
        TelemetryMessage = observer.SourceMessage,
        Traffic = new TrafficStatus(traffic?.Source, traffic?.Message ?? $"not measured: {trafficWhy}", carried),
        MemoryOnlyNodes = topology.MemoryOnlyNodes.Count(),
        Profile = options.Config.Profile,
        Strategy = options.Config.Policy.Strategy,
        Observer = new ObserverStatus
        {
            Loaded = observer.Observer is not null,
            Reason = observer.Reason,
            Message = observer.Message,
            Log = observer.Log,
            Hierarchy = hierarchy is null ? null : $"{hierarchy.Root} (v{(hierarchy.Version1 ? 1 : 2)})",
            Cgroups = activity.Count,
            Bursts = bursts,
            Vanished = hierarchy?.Vanished ?? 0,
            Losses = snapshot is null ? new ObserverLossStatus(0, 0, 0, 0, 0) : new ObserverLossStatus(snapshot),
        },
        Duplex = keeper is null ? null : DuplexStatus.Of(keeper),
        Topology = new TopologySummary(
            topology.Nodes.Count,
            topology.MemoryOnlyNodes.Count(),
            topology.CxlNodes.Count(),
            topology.MemoryDevices.Count,
            topology.Regions.Count,
            topology.MemoryNodes.Sum(node => node.MemoryBytes),
            topology.CxlNodes.Sum(node => node.MemoryBytes)),
        InterleaveWeights = interleave.Weights,
        InterleaveSource = interleave.Weights is null ? null : InterleavePlanner.Plan(topology, options.Config.Policy, measured).Source,
        Warnings = [.. warnings, .. new[] { readFailure, pods?.Warning, events?.Warning, traffic?.Failure, RefusedAttributes }.OfType<string>()],
        Cgroups = [.. activity.OrderByDescending(cgroup => cgroup.Delta.RunNs).ThenByDescending(cgroup => cgroup.Total.RunNs).Take(options.TopCgroups).Select(CgroupStatus.Of)],
    };

    /// <summary>The level is reached, and there is nothing to do at it.</summary>
    private SchedulerState? StandingBy => keeper?.State is { Loaded: false, Failed: false } state ? state : null;

    private string? RefusedAttributes => refusedAttributes == 0 ? null
        : $"{refusedAttributes} cgroups have an attribute {HintResolver.Attribute} that is none of {string.Join(", ", Enum.GetNames<MemoryIntent>())}";

    [LoggerMessage(1, Microsoft.Extensions.Logging.LogLevel.Information, "Level {Level}, reason {Reason}: {Message}")]
    private partial void LogLevel(SchedulingLevel level, string reason, string message);

    [LoggerMessage(2, Microsoft.Extensions.Logging.LogLevel.Information, "Observer {Reason}: {Message}; telemetry {Source}: {SourceMessage}")]
    private partial void LogObserver(string reason, string message, TelemetrySource? source, string sourceMessage);

    [LoggerMessage(3, Microsoft.Extensions.Logging.LogLevel.Warning, "The kernel's log: {Log}")]
    private partial void LogVerifier(string log);

    [LoggerMessage(4, Microsoft.Extensions.Logging.LogLevel.Warning, "{Warning}")]
    private partial void LogWarning(string warning);

    [LoggerMessage(5, Microsoft.Extensions.Logging.LogLevel.Error, "Counters could not be read: {Message}")]
    private partial void LogReadFailure(string message);

    [LoggerMessage(6, Microsoft.Extensions.Logging.LogLevel.Error, "Interleave weights could not be put back: {Message}")]
    private partial void LogRestoreFailure(string message);

    [LoggerMessage(9, Microsoft.Extensions.Logging.LogLevel.Warning, "{Message}")]
    private partial void LogRestored(string message);

    [LoggerMessage(7, Microsoft.Extensions.Logging.LogLevel.Information, "Scheduler {Reason}: {Message}")]
    private partial void LogSchedulerLoaded(string reason, string message);

    [LoggerMessage(8, Microsoft.Extensions.Logging.LogLevel.Error, "Scheduler not loaded, {Reason}: {Message}")]
    private partial void LogSchedulerLost(string reason, string message);
}
