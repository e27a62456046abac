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
    private readonly AgentOptions _options;
    private readonly ILogger<NodeAgent> _logger;
    private readonly AgentMetrics _metrics;
    private readonly HostKernel _kernel;
    private readonly NodeTopology _topology;
    private readonly byte[]? _program = DuplexScheduler.EmbeddedObject();
    private readonly SchedulerKeeper? _keeper;
    private readonly CgroupHierarchy? _hierarchy;
    private readonly ObserverLoad _observer;
    private readonly ActivityTracker _tracker;
    private readonly InterleaveKeeper _interleave;
    private readonly List<string> _warnings;
    private readonly List<string> _notHonoured;
    private readonly ITrafficMeter? _traffic;
    private readonly string _trafficWhy;
    private readonly PodWatch? _pods;
    private readonly NodeEvents? _events;
    private readonly Lock _gate = new();
    private IReadOnlyList<TrafficCount> _carried = [];
    private IReadOnlyDictionary<int, double>? _measured;
    private IReadOnlyDictionary<int, int>? _weights;
    private LevelObstacle? _weightsRefused;
    private string? _weightsNotHonoured;
    private ulong _bursts;
    private int _refusedAttributes;
    private string? _readFailure;
    private string? _loggedFailure;
    private IReadOnlyList<CgroupActivity> _known = [];
    private ClassLoads _loads;
    private double _rate;
    private SchedulerState? _loggedScheduler;
    private long _lastTick = Stopwatch.GetTimestamp();
    private bool _disposed;

    /// <summary>Starts the agent. Throws only for wrong input; what the machine lacks is in the status.</summary>
    public NodeAgent(AgentOptions options, AgentMetrics metrics, ILogger<NodeAgent> logger, PodWatch? pods = null, NodeEvents? events = null)
    {
        _pods = pods;
        _events = events;
        _options = options;
        _logger = logger;
        _metrics = metrics;
        _kernel = HostKernel.Read(options.Sysfs, options.Procfs);
        _topology = TopologyReader.Read(options.Sysfs);
        _hierarchy = CgroupHierarchy.Find(options.Cgroups, options.Sysfs);
        _warnings = [.. _topology.Warnings];
        _interleave = new InterleaveKeeper(options);
        if (!options.ReportOnly)
            RestoreLeft();
        _observer = ObserverLoader.Load(_kernel, options.Config.Telemetry.Source, new ObserverOptions
        {
            CgroupV1 = _hierarchy?.Version1 ?? false,
            Cpus = CpuList.TryParse(new SysfsTree(options.Sysfs).Text("devices/system/cpu/online") ?? "") ?? [],
            OnBurst = _ => _bursts++,
        }, Observer.EmbeddedObject());
        Counters = () => _observer.Observer?.Read();
        (_traffic, _trafficWhy) = TrafficMeter.Open(options.Config.Telemetry.Source, options.Sysfs);
        _warnings.AddRange(Shortcomings());
        _notHonoured = [.. NotHonoured()];
        var policy = options.Config.Policy;
        _tracker = new ActivityTracker(new MixClassifier(policy.ReaderAbovePercent / 100.0, policy.WriterBelowPercent / 100.0), _observer.Source == TelemetrySource.PerfEvents);
        // A report beside the agent that has the scheduler in the kernel has nothing to check.
        var isOwn = options.ReportOnly && _kernel.SchedExtScheduler?.StartsWith(DuplexScheduler.KernelName, StringComparison.Ordinal) == true;
        if (Decide().Level == SchedulingLevel.SchedExt && !isOwn)
            _keeper = new SchedulerKeeper(_program!, options.Config, [.. _topology.Nodes.Select(node => node.Cpus).Where(cpus => cpus.Count > 0)], _hierarchy?.Version1 ?? false, options.Sysfs, options.Procfs, _traffic is not null || _observer.Source == TelemetrySource.PerfEvents, TimeProvider.System);
        Status = Report([], null);
        Tell(null);
        metrics.Describe(Status, _topology);
        LogLevel(Status.Level, Status.Reason, Status.Message);
        LogScheduler();
        LogObserver(_observer.Reason, _observer.Message, _observer.Source, _observer.SourceMessage);
        if (_observer.Log is { } log)
            LogVerifier(log);
        foreach (var warning in _warnings)
            LogWarning(warning);
    }

    /// <summary>The last report.</summary>
    public AgentStatus Status { get; private set; }

    /// <summary>Reads the counters; null without an observer. Tests put in one that fails.</summary>
    internal Func<ObserverSnapshot?> Counters { get; set; }

    /// <summary>Cgroups in the observer's map in the kernel.</summary>
    internal int ObservedCgroups => _observer.Observer?.InKernel ?? 0;

    /// <summary>How often to tick.</summary>
    public TimeSpan Interval => _options.Interval;

    /// <summary>Reads the counters and renews the report.</summary>
    public void Tick()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            var before = Status;
            _readFailure = null;
            var (snapshot, failed) = ReadCounters();
            // After reading: a cgroup that was counted and is not found now has gone.
            var paths = _hierarchy?.Scan() ?? snapshot?.Cgroups.Keys.ToDictionary(id => id, id => $"#{id}") ?? [];
            var hints = _pods is null ? [] : HintResolver.ByCgroup(paths, _pods.Current.Intents);
            _refusedAttributes = _hierarchy is null ? 0 : HintResolver.AddAttributes(hints, paths, _hierarchy.Attributes(paths, HintResolver.Attribute));
            IReadOnlyList<CgroupActivity> activity = [];
            if (snapshot is not null)
                activity = Track(snapshot, paths, hints);
            // Counters that could not be read say nothing new: the classes and loads that were known last stand.
            if (!failed)
                Learn(hints, snapshot is null ? null : activity);
            // Whatever became of the counters: a scheduler that the kernel took out is noticed, and one that is not needed goes.
            if (!_options.ReportOnly)
                Attempt("keeping the scheduler", () => _keeper?.Tick(SchedulerKeeper.Intents(hints, _known), _loads, _rate, () => Limited(paths.Values)));
            LogScheduler();
            LogNewFailure();
            Status = Report(activity, snapshot);
            if (failed)
                _metrics.ReadFailed();
            _metrics.Update(Status, activity);
            Tell(before);
        }
    }

    /// <summary>The counters as they are now; null without an observer, or if they could not be read.</summary>
    private (ObserverSnapshot? Snapshot, bool Failed) ReadCounters()
    {
        ObserverSnapshot? snapshot = null;
        var read = Attempt("reading the eBPF maps", () => snapshot = Counters());
        return (snapshot, !read);
    }

    private int Limited(IEnumerable<string> paths) =>
        _options.Config.Policy.CpuLimits == CpuLimitHandling.Honour ? _hierarchy?.CpuLimited(paths) ?? 0 : 0;

    private IReadOnlyList<CgroupActivity> Track(ObserverSnapshot snapshot, IReadOnlyDictionary<ulong, string> paths, IReadOnlyDictionary<ulong, MemoryIntent> hints)
    {
        var activity = _tracker.Update(snapshot.Cgroups, paths, hints, out var gone);
        foreach (var id in gone)
            Attempt("forgetting a cgroup", () => _observer.Observer!.Forget(id));
        return activity;
    }

    private void Learn(IReadOnlyDictionary<ulong, MemoryIntent> hints, IReadOnlyList<CgroupActivity>? activity)
    {
        var window = Stopwatch.GetElapsedTime(_lastTick);
        _lastTick = Stopwatch.GetTimestamp();
        _known = activity ?? [];
        _loads = SchedulerKeeper.Loads(hints, activity, window);
        _rate = Carried(_known) / Math.Max(window.TotalSeconds, 1e-3);
    }

    /// <summary>Does one step of a tick. What the kernel refuses is reported, and tried again with the next.</summary>
    private bool Attempt(string what, Action step)
    {
        try
        {
            step();
            return true;
        }
        catch (BpfException error)
        {
            _readFailure = $"{what}: {error.Message}";
            return false;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
            _keeper?.Dispose();
            _observer.Observer?.Dispose();
            _traffic?.Dispose();
            PutBack();
            _interleave.Dispose();
        }
    }

    /// <summary>What memory carried since the last tick: bytes where the machine counts them, else the misses of all cgroups.</summary>
    private double Carried(IReadOnlyList<CgroupActivity> activity)
    {
        if (_traffic is null)
            return activity.Sum(cgroup => (double)(cgroup.Delta.MemoryReads + cgroup.Delta.MemoryWrites));
        var before = _carried.Sum(count => count.Bytes);
        _carried = _traffic.Read();
        return _carried.Sum(count => count.Bytes) - before;
    }

    private void Tell(AgentStatus? before)
    {
        if (_events is null)
            return;
        foreach (var happened in EventPlanner.Between(before, Status))
            _events.Add(happened);
    }

    private void RestoreLeft()
    {
        try
        {
            if (_interleave.RestoreLeft() is { } restored)
                LogRestored(restored);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            _warnings.Add($"interleave weights of an agent that was killed cannot be put back: {error.Message}");
        }
    }

    /// <summary>What this process does not have, and its pod should give it.</summary>
    private IEnumerable<string> Shortcomings()
    {
        if (_hierarchy is null)
            yield return "no cgroup hierarchy is mounted below sysfs: cgroups have no names; give --cgroups";
        if (_observer.Observer is not null && _kernel.SeesOwnTasksOnly)
            yield return "the agent is in a PID namespace of its own: only its own tasks are counted, apart from page faults and memory events; set hostPID: true";
    }

    /// <summary>Settings of the profile that this machine, or this process, cannot honour, each with its field first.</summary>
    private IEnumerable<string> NotHonoured()
    {
        var config = _options.Config;
        if (config.Telemetry.Source is var wanted && wanted != TelemetrySource.Auto && _observer.Source is { } source && source != wanted && _traffic?.Source != wanted)
            yield return $"telemetry.source: {wanted} is not available here; using {source}: {_observer.SourceMessage}{(wanted == TelemetrySource.Bpf ? "" : $"; {_trafficWhy}")}";
        if (_pods is null && config.Workloads is { Count: > 0 } workloads)
            yield return $"workloads: {workloads.Count} hints are not applied: the agent does not know its node; set NODE_NAME or --node-name";
    }

    /// <summary>The level as things are now: the scheduler may have come or gone since the last report.</summary>
    private LevelDecision Decide()
    {
        var failure = _keeper is { State: { Failed: true } state } ? new LevelObstacle(SchedulingLevel.SchedExt, state.Reason, state.Message) : null;
        var decision = Decide(failure);
        if (decision.Reason != InterleavePlanner.BandwidthUnknown || _measured is not null)
            return decision;
        (_measured, var why) = NodeBandwidth.Measure(_topology.MemoryNodes, _options.Config.Policy.TargetReadPercent / 100.0);
        if (why is not null)
            _warnings.Add($"the nodes' bandwidth cannot be measured: {why}");
        _measured ??= new Dictionary<int, double>();
        return Decide(failure);
    }

    private LevelDecision Decide(LevelObstacle? failure) =>
        LevelPlanner.Decide(_kernel, _topology, _options.Config, hasScheduler: _program is not null, _measured, failure);

    /// <summary>Sets the weights that a level has, or puts back what was found where it has none. What is refused is not tried again.</summary>
    private LevelDecision Weigh(LevelDecision decision)
    {
        // The scheduler comes again in a moment: weights stay.
        if (_options.ReportOnly || decision.Reason == LevelPlanner.SchedulerExited)
            return decision;
        var plan = InterleavePlanner.At(decision.Level, _topology, _options.Config.Policy, _measured);
        var weights = plan is { Obstacle: null } ? plan.Weights : null;
        if (!Same(weights, _weights))
        {
            _weights = weights;
            if (weights is null)
                PutBack();
            else
                _weightsRefused = _interleave.Apply(weights);
        }

        var refused = weights is null ? null : _weightsRefused;
        _weightsNotHonoured = decision.Level == SchedulingLevel.SchedExt && (refused?.Message ?? plan?.Obstacle?.Message) is { } why ? $"policy.interleaveWeights: not set: {why}" : null;
        return refused is not null && decision.Level == SchedulingLevel.Interleave
            ? decision with { Level = SchedulingLevel.Observe, Obstacles = [.. decision.Obstacles, refused] }
            : decision;
    }

    private static bool Same(IReadOnlyDictionary<int, int>? one, IReadOnlyDictionary<int, int>? other) =>
        one is null || other is null ? one == other : one.Count == other.Count && one.All(weight => other.TryGetValue(weight.Key, out var value) && value == weight.Value);

    private void PutBack()
    {
        try
        {
            _interleave.Restore();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            LogRestoreFailure(error.Message);
        }
    }

    /// <summary>Says a failure once while it lasts.</summary>
    private void LogNewFailure()
    {
        if (_readFailure is { } failure && _loggedFailure is null)
            LogReadFailure(failure);
        _loggedFailure = _readFailure;
    }

    /// <summary>Says it once when the scheduler's state has changed.</summary>
    private void LogScheduler()
    {
        if (_keeper is null || _keeper.State == _loggedScheduler)
            return;
        _loggedScheduler = _keeper.State;
        if (!_loggedScheduler.Failed)
            LogSchedulerLoaded(_loggedScheduler.Reason, _loggedScheduler.Message);
        else
            LogSchedulerLost(_loggedScheduler.Reason, _loggedScheduler.Message);
        if (_loggedScheduler.Log is { } log)
            LogVerifier(log);
    }
}
