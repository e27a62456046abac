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
    private readonly Gauge info;
    private readonly Gauge level;
    private readonly Gauge ready;
    private readonly Gauge observerUp;
    private readonly Gauge cgroups;
    private readonly Gauge warnings;
    private readonly Gauge memory;
    private readonly Gauge bandwidth;
    private readonly Gauge latency;
    private readonly Counter runSeconds;
    private readonly Counter switches;
    private readonly Counter wakeups;
    private readonly Counter migrations;
    private readonly Counter faults;
    private readonly Counter memoryEvents;
    private readonly Counter bursts;
    private readonly Counter traffic;
    private readonly Counter losses;
    private readonly Counter readFailures;
    private readonly Gauge schedulerUp;
    private readonly Gauge schedulerFailures;
    private readonly Gauge schedulerTasks;
    private readonly Gauge schedulerSeconds;
    private string[]? described;

    /// <summary>Creates the metrics in a registry of their own.</summary>
    public AgentMetrics()
    {
        var factory = Metrics.WithCustomRegistry(Registry);
        info = factory.CreateGauge("moebius_cxl_info", "What the agent does on this node; always 1.", "level", "reason", "telemetry_source", "kernel");
        level = factory.CreateGauge("moebius_cxl_level", "0 observe, 1 interleave, 2 sched_ext.");
        ready = factory.CreateGauge("moebius_cxl_ready", "1 if the profile accepts the level.");
        observerUp = factory.CreateGauge("moebius_cxl_observer_up", "1 if the eBPF observer is loaded.");
        cgroups = factory.CreateGauge("moebius_cxl_cgroups", "Cgroups counted, by class of workload.", "class");
        warnings = factory.CreateGauge("moebius_cxl_warnings", "Settings or files that could not be honoured; /status names them.");
        memory = factory.CreateGauge("moebius_cxl_node_memory_bytes", "Memory of a NUMA node.", "node", "kind");
        bandwidth = factory.CreateGauge("moebius_cxl_node_reported_bandwidth_bytes_per_second", "Bandwidth that the firmware reports; not measured.", "node", "direction");
        latency = factory.CreateGauge("moebius_cxl_node_reported_latency_seconds", "Latency that the firmware reports; not measured.", "node", "direction");
        runSeconds = factory.CreateCounter("moebius_cxl_run_seconds_total", "Time on a CPU, by class of workload.", "class");
        switches = factory.CreateCounter("moebius_cxl_context_switches_total", "Times a task left a CPU.", "class");
        wakeups = factory.CreateCounter("moebius_cxl_wakeups_total", "Times a task was woken.", "class");
        migrations = factory.CreateCounter("moebius_cxl_migrations_total", "Times a task changed CPU.", "class");
        faults = factory.CreateCounter("moebius_cxl_page_faults_total", "Page faults on user memory by direction.", "class", "direction");
        memoryEvents = factory.CreateCounter("moebius_cxl_memory_events_total", "Memory perf events by direction; 0 where there are none.", "class", "direction");
        bursts = factory.CreateCounter("moebius_cxl_bursts_total", "Stints on a CPU with unusual memory traffic.", "class");
        traffic = factory.CreateCounter("moebius_cxl_memory_traffic_bytes_total", "What the machine's memory carried, where that is measured, by link and direction.", "link", "direction");
        losses = factory.CreateCounter("moebius_cxl_losses_total", "What was not counted or not delivered.", "kind");
        // Gauges: they start over when the scheduler is loaded again.
        schedulerUp = factory.CreateGauge("moebius_cxl_scheduler_up", "1 if the duplex scheduler runs this machine.");
        schedulerFailures = factory.CreateGauge("moebius_cxl_scheduler_failures", "Times the scheduler failed or could not be loaded, since the last run of ten minutes.");
        schedulerTasks = factory.CreateGauge("moebius_cxl_scheduler_decisions", "What the scheduler did since it was loaded, by class.", "class", "decision");
        schedulerSeconds = factory.CreateGauge("moebius_cxl_scheduler_seconds", "Run time and wait since the scheduler was loaded, by class.", "class", "kind");
        readFailures = factory.CreateCounter("moebius_cxl_read_failures_total", "Ticks on which the counters could not be read.");
    }

    /// <summary>The registry that /metrics serves.</summary>
    public CollectorRegistry Registry { get; } = Metrics.NewCustomRegistry();

    /// <summary>A tick without counters.</summary>
    public void ReadFailed() => readFailures.Inc();

    /// <summary>Sets what does not change from tick to tick.</summary>
    public void Describe(AgentStatus status, NodeTopology topology)
    {
        Level(status);
        observerUp.Set(status.Observer.Loaded ? 1 : 0);
        warnings.Set(status.Warnings.Count);
        foreach (var node in topology.MemoryNodes)
        {
            var id = $"{node.Id}";
            memory.WithLabels(id, $"{node.Kind}").Set(node.MemoryBytes);
            Set(bandwidth, id, node.Performance?.ReadBandwidth, node.Performance?.WriteBandwidth, 1e6);
            Set(latency, id, node.Performance?.ReadLatency, node.Performance?.WriteLatency, 1e-9);
        }
    }

    /// <summary>Adds an interval's activity.</summary>
    public void Update(AgentStatus status, IReadOnlyList<CgroupActivity> activity)
    {
        warnings.Set(status.Warnings.Count);
        foreach (var intent in Enum.GetValues<MemoryIntent>())
            cgroups.WithLabels($"{intent}").Set(activity.Count(cgroup => cgroup.Intent == intent));
        foreach (var cgroup in activity)
        {
            var label = $"{cgroup.Intent}";
            var delta = cgroup.Delta;
            runSeconds.WithLabels(label).Inc(delta.RunNs / 1e9);
            switches.WithLabels(label).Inc(delta.Switches);
            wakeups.WithLabels(label).Inc(delta.Wakeups);
            migrations.WithLabels(label).Inc(delta.Migrations);
            faults.WithLabels(label, "read").Inc(delta.ReadFaults);
            faults.WithLabels(label, "write").Inc(delta.WriteFaults);
            memoryEvents.WithLabels(label, "read").Inc(delta.MemoryReads);
            memoryEvents.WithLabels(label, "write").Inc(delta.MemoryWrites);
            bursts.WithLabels(label).Inc(delta.Bursts);
        }

        schedulerUp.Set(status.Duplex?.Loaded == true ? 1 : 0);
        schedulerFailures.Set(status.Duplex?.Failures ?? 0);
        Level(status);
        foreach (var value in status.Duplex?.Classes ?? [])
            Set(value);

        foreach (var count in status.Traffic.Counts)
            traffic.WithLabels(count.Link, count.Direction).IncTo(count.Bytes);
        var lost = status.Observer.Losses;
        losses.WithLabels("cgroups").IncTo(lost.Cgroups);
        losses.WithLabels("events").IncTo(lost.Events);
        losses.WithLabels("tasks").IncTo(lost.Tasks);
        losses.WithLabels("perf_events").IncTo(lost.Samples);
        losses.WithLabels("skipped_runs").IncTo(lost.SkippedRuns);
        losses.WithLabels("vanished_cgroups").IncTo(status.Observer.Vanished);
    }

    private void Level(AgentStatus status)
    {
        string[] labels = [$"{status.Level}", status.Reason, $"{status.TelemetrySource}", status.Kernel];
        // One series at a time: the level and its reason change.
        if (described is not null && !labels.SequenceEqual(described))
            info.RemoveLabelled(described);
        info.WithLabels(described = labels).Set(1);
        level.Set((int)status.Level);
        ready.Set(status.Ready ? 1 : 0);
    }

    private void Set(DuplexClassStatus value)
    {
        schedulerTasks.WithLabels(value.Class, "queued").Set(value.Queued);
        schedulerTasks.WithLabels(value.Class, "picked").Set(value.Picked);
        schedulerTasks.WithLabels(value.Class, "paired").Set(value.Paired);
        schedulerTasks.WithLabels(value.Class, "crossed").Set(value.Crossed);
        schedulerTasks.WithLabels(value.Class, "aged").Set(value.Aged);
        schedulerTasks.WithLabels(value.Class, "held").Set(value.Held);
        schedulerTasks.WithLabels(value.Class, "preempted_bulk").Set(value.Preemptions);
        schedulerSeconds.WithLabels(value.Class, "run").Set(value.RunSeconds);
        schedulerSeconds.WithLabels(value.Class, "wait").Set(value.WaitSeconds);
        schedulerSeconds.WithLabels(value.Class, "longest_wait").Set(value.LongestWaitSeconds);
    }

    private static void Set(Gauge gauge, string node, long? read, long? write, double unit)
    {
        if (read is { } reads)
            gauge.WithLabels(node, "read").Set(reads * unit);
        if (write is { } writes)
            gauge.WithLabels(node, "write").Set(writes * unit);
    }
}
