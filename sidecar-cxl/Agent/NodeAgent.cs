using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Bench;
using Moebius.Cxl.Hints;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Telemetry;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Agent;

/// <summary>
/// The agent on one node: reads the machine, chooses the level, loads the observer, and on every tick turns counters
/// into a report and hints into classes of the scheduler. Disposing takes back what it did to the machine.
/// </summary>
internal sealed partial class NodeAgent : IDisposable
{
    private readonly AgentOptions options;
    private readonly ILogger<NodeAgent> logger;
    private readonly AgentMetrics metrics;
    private readonly HostKernel kernel;
    private readonly NodeTopology topology;
    private readonly LevelDecision level;
    private readonly SchedulerKeeper? keeper;
    private readonly CgroupHierarchy? hierarchy;
    private readonly ObserverLoad observer;
    private readonly ActivityTracker tracker;
    private readonly WeightedInterleave? interleave;
    private readonly IReadOnlyDictionary<int, int>? weights;
    private readonly IReadOnlyDictionary<int, double>? measured;
    private readonly List<string> warnings;
    private readonly PodWatch? pods;
    private readonly Lock gate = new();
    private ulong bursts;
    private int refusedAttributes;
    private string? readFailure;
    private SchedulerState? loggedScheduler;
    private bool disposed;

    /// <summary>Starts the agent. Throws only for wrong input; what the machine lacks is in the status.</summary>
    public NodeAgent(AgentOptions options, AgentMetrics metrics, ILogger<NodeAgent> logger, PodWatch? pods = null)
    {
        this.pods = pods;
        this.options = options;
        this.logger = logger;
        this.metrics = metrics;
        kernel = HostKernel.Read(options.Sysfs, options.Procfs);
        topology = TopologyReader.Read(options.Sysfs);
        hierarchy = CgroupHierarchy.Find(options.Cgroups, options.Sysfs);
        warnings = [.. topology.Warnings];
        level = Decide(null);
        if (level.Reason == InterleavePlanner.BandwidthUnknown)
        {
            (measured, var failure) = NodeBandwidth.Measure(topology.MemoryNodes, options.Config.Policy.TargetReadPercent / 100.0);
            if (failure is not null)
                warnings.Add($"the nodes' bandwidth cannot be measured: {failure}");
            level = Decide(measured);
        }

        if (level.Level == SchedulingLevel.Interleave)
            (interleave, weights, level) = ApplyInterleave(level);

        observer = ObserverLoader.Load(kernel, options.Config.Telemetry.Source, new ObserverOptions
        {
            CgroupV1 = hierarchy?.Version1 ?? false,
            Cpus = CpuList.TryParse(new SysfsTree(options.Sysfs).Text("devices/system/cpu/online") ?? "") ?? [],
            OnBurst = _ => bursts++,
        }, Observer.EmbeddedObject());
        if (options.Config.Telemetry.Source is var wanted && wanted != TelemetrySource.Auto && observer.Source is { } source && source != wanted)
            warnings.Add($"telemetry.source: {wanted} is not available here; using {source}: {observer.SourceMessage}");
        if (hierarchy is null)
            warnings.Add("no cgroup hierarchy is mounted below sysfs: cgroups have no names; give --cgroups");
        if (observer.Observer is not null && kernel.SeesOwnTasksOnly)
            warnings.Add("the agent is in a PID namespace of its own: only its own tasks are counted, apart from page faults and memory events; set hostPID: true");
        if (pods is null && options.Config.Workloads is { Count: > 0 } workloads)
            warnings.Add($"workloads: {workloads.Count} hints are not applied: the agent does not know its node; set NODE_NAME or --node-name");
        var policy = options.Config.Policy;
        tracker = new ActivityTracker(new MixClassifier(policy.ReaderAbovePercent / 100.0, policy.WriterBelowPercent / 100.0), observer.Source == TelemetrySource.PerfEvents);
        if (level.Level == SchedulingLevel.SchedExt)
            keeper = new SchedulerKeeper(DuplexScheduler.EmbeddedObject()!, options.Config, [.. topology.Nodes.Select(node => node.Cpus).Where(cpus => cpus.Count > 0)], hierarchy?.Version1 ?? false, options.Sysfs, options.Procfs, observer.Source == TelemetrySource.PerfEvents, TimeProvider.System);
        Status = Report([], null);
        metrics.Describe(Status, topology);
        LogLevel(Status.Level, Status.Reason, Status.Message);
        LogScheduler();
        LogObserver(observer.Reason, observer.Message, observer.Source, observer.SourceMessage);
        if (observer.Log is { } log)
            LogVerifier(log);
        foreach (var warning in warnings)
            LogWarning(warning);
    }

    /// <summary>The last report.</summary>
    public AgentStatus Status { get; private set; }

    /// <summary>Cgroups in the observer's map in the kernel.</summary>
    internal int ObservedCgroups => observer.Observer?.InKernel ?? 0;

    /// <summary>How often to tick.</summary>
    public TimeSpan Interval => options.Interval;

    /// <summary>Reads the counters and renews the report.</summary>
    public void Tick()
    {
        lock (gate)
        {
            if (disposed)
                return;
            try
            {
                var snapshot = observer.Observer?.Read();
                // After reading: a cgroup that was counted and is not found now has gone.
                var paths = hierarchy?.Scan() ?? snapshot?.Cgroups.Keys.ToDictionary(id => id, id => $"#{id}") ?? [];
                var hints = pods is null ? [] : HintResolver.ByCgroup(paths, pods.Current.Intents);
                refusedAttributes = hierarchy is null ? 0 : HintResolver.AddAttributes(hints, paths, hierarchy.Attributes(paths, HintResolver.Attribute));
                IReadOnlyList<CgroupActivity> activity = [];
                if (snapshot is not null)
                {
                    activity = tracker.Update(snapshot.Cgroups, paths, hints, out var gone);
                    foreach (var id in gone)
                        observer.Observer!.Forget(id);
                }

                keeper?.Tick(SchedulerKeeper.Intents(hints, activity), activity.Aggregate(0UL, (sum, cgroup) => sum + cgroup.Delta.MemoryReads + cgroup.Delta.MemoryWrites));
                LogScheduler();
                readFailure = null;
                Status = Report(activity, snapshot);
                metrics.Update(Status, activity);
            }
            catch (BpfException error)
            {
                // Counters come again with the next tick, or the report says why not.
                if (readFailure is null)
                    LogReadFailure(error.Message);
                readFailure = $"reading the eBPF maps: {error.Message}";
                Status = Report([], null);
                metrics.ReadFailed();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
                return;
            disposed = true;
            keeper?.Dispose();
            observer.Observer?.Dispose();
            try
            {
                interleave?.Restore();
            }
            catch (IOException error)
            {
                LogRestoreFailure(error.Message);
            }
        }
    }

    private (WeightedInterleave?, IReadOnlyDictionary<int, int>?, LevelDecision) ApplyInterleave(LevelDecision decision)
    {
        var plan = InterleavePlanner.Plan(topology, options.Config.Policy, measured);
        var applied = new WeightedInterleave(options.Sysfs);
        try
        {
            applied.Apply(plan.Weights);
            return (applied, plan.Weights, decision);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            var obstacle = new LevelObstacle(SchedulingLevel.Interleave, "InterleaveRefused", error.Message);
            return (null, null, decision with { Level = SchedulingLevel.Observe, Obstacles = [.. decision.Obstacles, obstacle] });
        }
    }

    private LevelDecision Decide(IReadOnlyDictionary<int, double>? measured) =>
        LevelPlanner.Decide(kernel, topology, options.Config, hasScheduler: DuplexScheduler.EmbeddedObject() is not null, measured);

    private AgentStatus Report(IReadOnlyList<CgroupActivity> activity, ObserverSnapshot? snapshot)
    {
        // What is so now: the kernel may have taken the scheduler out since the level was chosen.
        var now = keeper is { State: { Loaded: false } state }
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
        Reason = observer.Observer is null ? observer.Reason : level.Reason,
        Message = observer.Observer is null ? $"not counting: {observer.Message}; {level.Message}" : level.Message,
        Kernel = kernel.Release,
        Scheduler = kernel.SchedExtState is null ? "none" : kernel.SchedExtScheduler ?? kernel.SchedExtState,
        TelemetrySource = observer.Source,
        TelemetryMessage = observer.SourceMessage,
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
        InterleaveWeights = weights,
        InterleaveSource = weights is null ? null : InterleavePlanner.Plan(topology, options.Config.Policy, measured).Source,
        Warnings = [.. warnings, .. new[] { readFailure, pods?.Warning, RefusedAttributes }.OfType<string>()],
        Cgroups = [.. activity.OrderByDescending(cgroup => cgroup.Delta.RunNs).ThenByDescending(cgroup => cgroup.Total.RunNs).Take(options.TopCgroups).Select(CgroupStatus.Of)],
    };

    private string? RefusedAttributes => refusedAttributes == 0 ? null
        : $"{refusedAttributes} cgroups have an attribute {HintResolver.Attribute} that is none of {string.Join(", ", Enum.GetNames<MemoryIntent>())}";

    /// <summary>Says it once when the scheduler's state has changed.</summary>
    private void LogScheduler()
    {
        if (keeper is null || keeper.State == loggedScheduler)
            return;
        loggedScheduler = keeper.State;
        if (loggedScheduler.Loaded)
            LogSchedulerLoaded(loggedScheduler.Message);
        else
            LogSchedulerLost(loggedScheduler.Reason, loggedScheduler.Message);
        if (loggedScheduler.Log is { } log)
            LogVerifier(log);
    }

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

    [LoggerMessage(7, Microsoft.Extensions.Logging.LogLevel.Information, "Scheduler loaded: {Message}")]
    private partial void LogSchedulerLoaded(string message);

    [LoggerMessage(8, Microsoft.Extensions.Logging.LogLevel.Error, "Scheduler not loaded, {Reason}: {Message}")]
    private partial void LogSchedulerLost(string reason, string message);
}
