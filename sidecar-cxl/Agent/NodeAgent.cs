using System.Diagnostics;
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
    private readonly InterleaveKeeper interleave;
    private readonly IReadOnlyDictionary<int, double>? measured;
    private readonly List<string> warnings;
    private readonly ITrafficMeter? traffic;
    private readonly string trafficWhy;
    private readonly PodWatch? pods;
    private readonly NodeEvents? events;
    private readonly Lock gate = new();
    private IReadOnlyList<TrafficCount> carried = [];
    private ulong bursts;
    private int refusedAttributes;
    private string? readFailure;
    private SchedulerState? loggedScheduler;
    private long lastTick = Stopwatch.GetTimestamp();
    private bool disposed;

    /// <summary>Starts the agent. Throws only for wrong input; what the machine lacks is in the status.</summary>
    public NodeAgent(AgentOptions options, AgentMetrics metrics, ILogger<NodeAgent> logger, PodWatch? pods = null, NodeEvents? events = null)
    {
        this.pods = pods;
        this.events = events;
        this.options = options;
        this.logger = logger;
        this.metrics = metrics;
        kernel = HostKernel.Read(options.Sysfs, options.Procfs);
        topology = TopologyReader.Read(options.Sysfs);
        hierarchy = CgroupHierarchy.Find(options.Cgroups, options.Sysfs);
        warnings = [.. topology.Warnings];
        interleave = new InterleaveKeeper(options);
        try
        {
            if (interleave.RestoreLeft() is { } restored)
                LogRestored(restored);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            warnings.Add($"interleave weights of an agent that was killed cannot be put back: {error.Message}");
        }

        level = Decide(null);
        if (level.Reason == InterleavePlanner.BandwidthUnknown)
        {
            (measured, var failure) = NodeBandwidth.Measure(topology.MemoryNodes, options.Config.Policy.TargetReadPercent / 100.0);
            if (failure is not null)
                warnings.Add($"the nodes' bandwidth cannot be measured: {failure}");
            level = Decide(measured);
        }

        if (level.Level == SchedulingLevel.Interleave)
            level = ApplyInterleave(level);

        observer = ObserverLoader.Load(kernel, options.Config.Telemetry.Source, new ObserverOptions
        {
            CgroupV1 = hierarchy?.Version1 ?? false,
            Cpus = CpuList.TryParse(new SysfsTree(options.Sysfs).Text("devices/system/cpu/online") ?? "") ?? [],
            OnBurst = _ => bursts++,
        }, Observer.EmbeddedObject());
        (traffic, trafficWhy) = TrafficMeter.Open(options.Config.Telemetry.Source, options.Sysfs);
        if (options.Config.Telemetry.Source is var wanted && wanted != TelemetrySource.Auto && observer.Source is { } source && source != wanted && traffic?.Source != wanted)
            warnings.Add($"telemetry.source: {wanted} is not available here; using {source}: {observer.SourceMessage}{(wanted == TelemetrySource.Bpf ? "" : $"; {trafficWhy}")}");
        if (hierarchy is null)
            warnings.Add("no cgroup hierarchy is mounted below sysfs: cgroups have no names; give --cgroups");
        if (observer.Observer is not null && kernel.SeesOwnTasksOnly)
            warnings.Add("the agent is in a PID namespace of its own: only its own tasks are counted, apart from page faults and memory events; set hostPID: true");
        if (pods is null && options.Config.Workloads is { Count: > 0 } workloads)
            warnings.Add($"workloads: {workloads.Count} hints are not applied: the agent does not know its node; set NODE_NAME or --node-name");
        var policy = options.Config.Policy;
        tracker = new ActivityTracker(new MixClassifier(policy.ReaderAbovePercent / 100.0, policy.WriterBelowPercent / 100.0), observer.Source == TelemetrySource.PerfEvents);
        if (level.Level == SchedulingLevel.SchedExt)
            keeper = new SchedulerKeeper(DuplexScheduler.EmbeddedObject()!, options.Config, [.. topology.Nodes.Select(node => node.Cpus).Where(cpus => cpus.Count > 0)], hierarchy?.Version1 ?? false, options.Sysfs, options.Procfs, traffic is not null || observer.Source == TelemetrySource.PerfEvents, TimeProvider.System);
        Status = Report([], null);
        Tell(null);
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
            var before = Status;
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

                var window = Stopwatch.GetElapsedTime(lastTick);
                lastTick = Stopwatch.GetTimestamp();
                var rate = Carried(activity) / Math.Max(window.TotalSeconds, 1e-3);
                keeper?.Tick(SchedulerKeeper.Intents(hints, activity), SchedulerKeeper.Loads(hints, snapshot is null ? null : activity, window), rate);
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

            Tell(before);
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
            traffic?.Dispose();
            try
            {
                interleave.Restore();
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                LogRestoreFailure(error.Message);
            }

            interleave.Dispose();
        }
    }

    /// <summary>What memory carried since the last tick: bytes where the machine counts them, else the misses of all cgroups.</summary>
    private double Carried(IReadOnlyList<CgroupActivity> activity)
    {
        if (traffic is null)
            return activity.Sum(cgroup => (double)(cgroup.Delta.MemoryReads + cgroup.Delta.MemoryWrites));
        var before = carried.Sum(count => count.Bytes);
        carried = traffic.Read();
        return carried.Sum(count => count.Bytes) - before;
    }

    private void Tell(AgentStatus? before)
    {
        if (events is null)
            return;
        foreach (var happened in EventPlanner.Between(before, Status))
            events.Add(happened);
    }

    private LevelDecision ApplyInterleave(LevelDecision decision) =>
        interleave.Apply(InterleavePlanner.Plan(topology, options.Config.Policy, measured).Weights) is { } obstacle
            ? decision with { Level = SchedulingLevel.Observe, Obstacles = [.. decision.Obstacles, obstacle] }
            : decision;

    private LevelDecision Decide(IReadOnlyDictionary<int, double>? measured) =>
        LevelPlanner.Decide(kernel, topology, options.Config, hasScheduler: DuplexScheduler.EmbeddedObject() is not null, measured);

    /// <summary>Says it once when the scheduler's state has changed.</summary>
    private void LogScheduler()
    {
        if (keeper is null || keeper.State == loggedScheduler)
            return;
        loggedScheduler = keeper.State;
        if (!loggedScheduler.Failed)
            LogSchedulerLoaded(loggedScheduler.Reason, loggedScheduler.Message);
        else
            LogSchedulerLost(loggedScheduler.Reason, loggedScheduler.Message);
        if (loggedScheduler.Log is { } log)
            LogVerifier(log);
    }
}
