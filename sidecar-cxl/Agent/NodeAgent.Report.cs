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
    // Read afresh: schedulers come and go.
    private AgentStatus Report(IReadOnlyList<CgroupActivity> activity, ObserverSnapshot? snapshot) =>
        Report(Weigh(Decide()), HostKernel.Read(_options.Sysfs, _options.Procfs), activity, snapshot);

    private AgentStatus Report(LevelDecision level, HostKernel kernel, IReadOnlyList<CgroupActivity> activity, ObserverSnapshot? snapshot) => new()
    {
        Name = _options.NodeName,
        Ready = level.Acceptable,
        Level = level.Level,
        // Without the observer the node does less than observe: that comes first.
        Reason = _observer.Observer is null ? _observer.Reason : StandingBy?.Reason ?? level.Reason,
        Message = _observer.Observer is null ? $"not counting: {_observer.Message}; {level.Message}" : StandingBy?.Message ?? level.Message,
        Kernel = kernel.Release,
        Scheduler = kernel.SchedExtState is null ? "none" : kernel.SchedExtScheduler ?? kernel.SchedExtState,
        TelemetrySource = _observer.Source,
        TelemetryMessage = _observer.SourceMessage,
        Traffic = new TrafficStatus(_traffic?.Source, _traffic?.Message ?? $"not measured: {_trafficWhy}", _carried),
        MemoryOnlyNodes = _topology.MemoryOnlyNodes.Count(),
        Profile = _options.Config.Profile,
        Strategy = _options.Config.Policy.Strategy,
        Observer = new ObserverStatus
        {
            Loaded = _observer.Observer is not null,
            Reason = _observer.Reason,
            Message = _observer.Message,
            Log = _observer.Log,
            Hierarchy = _hierarchy is null ? null : $"{_hierarchy.Root} (v{(_hierarchy.Version1 ? 1 : 2)})",
            Cgroups = activity.Count,
            Bursts = _bursts,
            Vanished = _hierarchy?.Vanished ?? 0,
            Losses = snapshot is null ? new ObserverLossStatus(0, 0, 0, 0, 0) : new ObserverLossStatus(snapshot),
        },
        Duplex = _keeper is null ? null : DuplexStatus.Of(_keeper),
        Topology = new TopologySummary(
            _topology.Nodes.Count,
            _topology.MemoryOnlyNodes.Count(),
            _topology.CxlNodes.Count(),
            _topology.MemoryDevices.Count,
            _topology.Regions.Count,
            _topology.MemoryNodes.Sum(node => node.MemoryBytes),
            _topology.CxlNodes.Sum(node => node.MemoryBytes)),
        InterleaveWeights = _interleave.Weights,
        InterleaveSource = _interleave.Weights is null ? null : InterleavePlanner.Plan(_topology, _options.Config.Policy, _measured).Source,
        NotHonoured = [.. NotHonouredNow],
        Warnings = [.. NotHonouredNow, .. _warnings, .. new[] { _readFailure, _pods?.Warning, _events?.Warning, _traffic?.Failure }.OfType<string>()],
        Cgroups = [.. activity.OrderByDescending(cgroup => cgroup.Delta.RunNs).ThenByDescending(cgroup => cgroup.Total.RunNs).Take(_options.TopCgroups).Select(CgroupStatus.Of)],
    };

    /// <summary>The level is reached, and there is nothing to do at it.</summary>
    private SchedulerState? StandingBy => _keeper?.State is { Loaded: false, Failed: false } state ? state : null;

    private IEnumerable<string> NotHonouredNow => [.. _notHonoured, .. new[] { _weightsNotHonoured, _pods?.Refused, _pods?.Contested, _pods?.Forbidden, RefusedAttributes }.OfType<string>()];

    private string? RefusedAttributes => _refusedAttributes == 0 ? null
        : $"{HintResolver.Attribute}: {_refusedAttributes} cgroups have an attribute that is none of {string.Join(", ", Enum.GetNames<MemoryIntent>())}";

    [LoggerMessage(1, Microsoft.Extensions.Logging.LogLevel.Information, "Level {Level}, reason {Reason}: {Message}")]
    private partial void LogLevel(SchedulingLevel level, string reason, string message);

    [LoggerMessage(2, Microsoft.Extensions.Logging.LogLevel.Information, "Observer {Reason}: {Message}; telemetry {Source}: {SourceMessage}")]
    private partial void LogObserver(string reason, string message, TelemetrySource? source, string sourceMessage);

    [LoggerMessage(3, Microsoft.Extensions.Logging.LogLevel.Warning, "The kernel's log: {Log}")]
    private partial void LogVerifier(string log);

    [LoggerMessage(4, Microsoft.Extensions.Logging.LogLevel.Warning, "{Warning}")]
    private partial void LogWarning(string warning);

    [LoggerMessage(5, Microsoft.Extensions.Logging.LogLevel.Error, "Counters or scheduler: {Message}")]
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
