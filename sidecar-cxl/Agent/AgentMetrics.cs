using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Telemetry;
using Moebius.Cxl.Topology;
using Prometheus;

namespace Moebius.Cxl.Agent;

/// <summary>
/// The agent's Prometheus metrics. Activity is summed by class of workload, never by cgroup: pods come and go, and their
/// paths are nobody's label.
/// </summary>
internal sealed class AgentMetrics
{
    private readonly Gauge _info;
    private readonly Gauge _level;
    private readonly Gauge _ready;
    private readonly Gauge _observerUp;
    private readonly Gauge _cgroups;
    private readonly Gauge _warnings;
    private readonly Gauge _memory;
    private readonly Gauge _bandwidth;
    private readonly Gauge _latency;
    private readonly Counter _runSeconds;
    private readonly Counter _switches;
    private readonly Counter _wakeups;
    private readonly Counter _migrations;
    private readonly Counter _faults;
    private readonly Counter _memoryEvents;
    private readonly Counter _bursts;
    private readonly Counter _traffic;
    private readonly Counter _losses;
    private readonly Counter _readFailures;
    private readonly Gauge _schedulerUp;
    private readonly Gauge _schedulerFailures;
    private readonly Gauge _schedulerTasks;
    private readonly Gauge _schedulerSeconds;
    private string[]? _described;

    /// <summary>Creates the metrics in a registry of their own.</summary>
    public AgentMetrics()
    {
        var factory = Metrics.WithCustomRegistry(Registry);
        _info = factory.CreateGauge("moebius_cxl_info", "What the agent does on this node; always 1.", "level", "reason", "telemetry_source", "kernel");
        _level = factory.CreateGauge("moebius_cxl_level", "0 observe, 1 interleave, 2 sched_ext.");
        _ready = factory.CreateGauge("moebius_cxl_ready", "1 if the profile accepts the level.");
        _observerUp = factory.CreateGauge("moebius_cxl_observer_up", "1 if the eBPF observer is loaded.");
        _cgroups = factory.CreateGauge("moebius_cxl_cgroups", "Cgroups counted, by class of workload.", "class");
        _warnings = factory.CreateGauge("moebius_cxl_warnings", "Settings or files that could not be honoured; /status names them.");
        _memory = factory.CreateGauge("moebius_cxl_node_memory_bytes", "Memory of a NUMA node.", "node", "kind");
        _bandwidth = factory.CreateGauge("moebius_cxl_node_reported_bandwidth_bytes_per_second", "Bandwidth that the firmware reports; not measured.", "node", "direction");
        _latency = factory.CreateGauge("moebius_cxl_node_reported_latency_seconds", "Latency that the firmware reports; not measured.", "node", "direction");
        _runSeconds = factory.CreateCounter("moebius_cxl_run_seconds_total", "Time on a CPU, by class of workload.", "class");
        _switches = factory.CreateCounter("moebius_cxl_context_switches_total", "Times a task left a CPU.", "class");
        _wakeups = factory.CreateCounter("moebius_cxl_wakeups_total", "Times a task was woken.", "class");
        _migrations = factory.CreateCounter("moebius_cxl_migrations_total", "Times a task changed CPU.", "class");
        _faults = factory.CreateCounter("moebius_cxl_page_faults_total", "Page faults on user memory by direction.", "class", "direction");
        _memoryEvents = factory.CreateCounter("moebius_cxl_memory_events_total", "Memory perf events by direction; 0 where there are none.", "class", "direction");
        _bursts = factory.CreateCounter("moebius_cxl_bursts_total", "Stints on a CPU with unusual memory traffic.", "class");
        _traffic = factory.CreateCounter("moebius_cxl_memory_traffic_bytes_total", "What the machine's memory carried, where that is measured, by link and direction.", "link", "direction");
        _losses = factory.CreateCounter("moebius_cxl_losses_total", "What was not counted or not delivered.", "kind");
        // Gauges: they start over when the scheduler is loaded again.
        _schedulerUp = factory.CreateGauge("moebius_cxl_scheduler_up", "1 if the duplex scheduler runs this machine.");
        _schedulerFailures = factory.CreateGauge("moebius_cxl_scheduler_failures", "Times the scheduler failed or could not be loaded; 0 after ten minutes of running, or an hour, without another.");
        _schedulerTasks = factory.CreateGauge("moebius_cxl_scheduler_decisions", "What the scheduler did since it was loaded, by class.", "class", "decision");
        _schedulerSeconds = factory.CreateGauge("moebius_cxl_scheduler_seconds", "Run time and wait since the scheduler was loaded, by class.", "class", "kind");
        _readFailures = factory.CreateCounter("moebius_cxl_read_failures_total", "Ticks on which the counters could not be read.");
    }

    /// <summary>The registry that /metrics serves.</summary>
    public CollectorRegistry Registry { get; } = Metrics.NewCustomRegistry();

    /// <summary>A tick without counters.</summary>
    public void ReadFailed() => _readFailures.Inc();

    /// <summary>Sets what does not change from tick to tick.</summary>
    public void Describe(AgentStatus status, NodeTopology topology)
    {
        Level(status);
        _observerUp.Set(status.Observer.Loaded ? 1 : 0);
        _warnings.Set(status.Warnings.Count);
        foreach (var node in topology.MemoryNodes)
        {
            var id = $"{node.Id}";
            _memory.WithLabels(id, $"{node.Kind}").Set(node.MemoryBytes);
            Set(_bandwidth, id, node.Performance?.ReadBandwidth, node.Performance?.WriteBandwidth, 1e6);
            Set(_latency, id, node.Performance?.ReadLatency, node.Performance?.WriteLatency, 1e-9);
        }
    }

    /// <summary>Adds an interval's activity.</summary>
    public void Update(AgentStatus status, IReadOnlyList<CgroupActivity> activity)
    {
        _warnings.Set(status.Warnings.Count);
        foreach (var intent in Enum.GetValues<MemoryIntent>())
            _cgroups.WithLabels($"{intent}").Set(activity.Count(cgroup => cgroup.Intent == intent));
        foreach (var cgroup in activity)
        {
            var label = $"{cgroup.Intent}";
            var delta = cgroup.Delta;
            _runSeconds.WithLabels(label).Inc(delta.RunNs / 1e9);
            _switches.WithLabels(label).Inc(delta.Switches);
            _wakeups.WithLabels(label).Inc(delta.Wakeups);
            _migrations.WithLabels(label).Inc(delta.Migrations);
            _faults.WithLabels(label, "read").Inc(delta.ReadFaults);
            _faults.WithLabels(label, "write").Inc(delta.WriteFaults);
            _memoryEvents.WithLabels(label, "read").Inc(delta.MemoryReads);
            _memoryEvents.WithLabels(label, "write").Inc(delta.MemoryWrites);
            _bursts.WithLabels(label).Inc(delta.Bursts);
        }

        _schedulerUp.Set(status.Duplex?.Loaded == true ? 1 : 0);
        _schedulerFailures.Set(status.Duplex?.Failures ?? 0);
        Level(status);
        foreach (var value in status.Duplex?.Classes ?? [])
            Set(value);

        foreach (var count in status.Traffic.Counts)
            _traffic.WithLabels(count.Link, count.Direction).IncTo(count.Bytes);
        var lost = status.Observer.Losses;
        _losses.WithLabels("cgroups").IncTo(lost.Cgroups);
        _losses.WithLabels("events").IncTo(lost.Events);
        _losses.WithLabels("tasks").IncTo(lost.Tasks);
        _losses.WithLabels("perf_events").IncTo(lost.Samples);
        _losses.WithLabels("skipped_runs").IncTo(lost.SkippedRuns);
        _losses.WithLabels("vanished_cgroups").IncTo(status.Observer.Vanished);
    }

    private void Level(AgentStatus status)
    {
        string[] labels = [$"{status.Level}", status.Reason, $"{status.TelemetrySource}", status.Kernel];
        // One series at a time: the level and its reason change.
        if (_described is not null && !labels.SequenceEqual(_described))
            _info.RemoveLabelled(_described);
        _info.WithLabels(_described = labels).Set(1);
        _level.Set((int)status.Level);
        _ready.Set(status.Ready ? 1 : 0);
    }

    private void Set(DuplexClassStatus value)
    {
        _schedulerTasks.WithLabels(value.Class, "queued").Set(value.Queued);
        _schedulerTasks.WithLabels(value.Class, "picked").Set(value.Picked);
        _schedulerTasks.WithLabels(value.Class, "paired").Set(value.Paired);
        _schedulerTasks.WithLabels(value.Class, "crossed").Set(value.Crossed);
        _schedulerTasks.WithLabels(value.Class, "aged").Set(value.Aged);
        _schedulerTasks.WithLabels(value.Class, "held").Set(value.Held);
        _schedulerTasks.WithLabels(value.Class, "preempted_bulk").Set(value.Preemptions);
        _schedulerSeconds.WithLabels(value.Class, "run").Set(value.RunSeconds);
        _schedulerSeconds.WithLabels(value.Class, "wait").Set(value.WaitSeconds);
        _schedulerSeconds.WithLabels(value.Class, "longest_wait").Set(value.LongestWaitSeconds);
    }

    private static void Set(Gauge gauge, string node, long? read, long? write, double unit)
    {
        if (read is { } reads)
            gauge.WithLabels(node, "read").Set(reads * unit);
        if (write is { } writes)
            gauge.WithLabels(node, "write").Set(writes * unit);
    }
}
