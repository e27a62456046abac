using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>
/// MemorySchedulingProfile runs the node agent on the selected nodes: it finds CXL memory, learns who reads and who
/// writes, and schedules them so that full-duplex links are used in both directions.
/// </summary>
[KubernetesEntity(Group = ApiGroup.Name, ApiVersion = ApiGroup.Version, Kind = KindName, PluralName = "memoryschedulingprofiles")]
[Resource("memoryschedulingprofiles", "msp", ClusterScoped = true, MaxNameLength = 49)]
[PrinterColumn("Strategy", ".spec.policy.strategy")]
[PrinterColumn("Ready", ".status.conditions[?(@.type=='Ready')].status")]
[PrinterColumn("Nodes", ".status.readyNodes", "integer")]
[PrinterColumn("Desired", ".status.desiredNodes", "integer")]
[PrinterColumn("Reason", ".status.conditions[?(@.type=='Ready')].reason", Priority = 1)]
[PrinterColumn("Age", ".metadata.creationTimestamp", "date")]
public sealed class MemorySchedulingProfile : CustomResource<MemorySchedulingProfileSpec, MemorySchedulingProfileStatus>
{
    /// <summary>The kind's name.</summary>
    public const string KindName = "MemorySchedulingProfile";

    /// <summary>Creates an empty resource.</summary>
    public MemorySchedulingProfile() => Kind = KindName;
}

/// <summary>Which nodes, which hints, which policy (CXLAimPod, arXiv 2508.15980).</summary>
public sealed class MemorySchedulingProfileSpec
{
    /// <summary>Labels of the nodes. Absent: all nodes. Where profiles overlap, the older one wins, then the name.</summary>
    [Size(0, 64)]
    [ItemSize(0, 63)]
    public Dictionary<string, string>? NodeSelector { get; set; }

    /// <summary>Hints for pods, first match wins. A pod's annotation moebius.dev/memory-intent comes before all.</summary>
    [Size(0, 64)]
    [ListMap("name")]
    public List<WorkloadHint>? Workloads { get; set; }

    /// <summary>How memory traffic is scheduled.</summary>
    public MemoryPolicySpec Policy { get; set; } = new();

    /// <summary>What to do where the node cannot do what the policy asks.</summary>
    public MemoryFallbackSpec Fallback { get; set; } = new();

    /// <summary>Where read and write counts come from.</summary>
    public TelemetrySpec Telemetry { get; set; } = new();

    /// <summary>The agent's pods.</summary>
    public NodeAgentSpec Agent { get; set; } = new();
}

/// <summary>A hint for pods.</summary>
public sealed class WorkloadHint
{
    /// <summary>A name for status and metrics.</summary>
    [Size(1, 63)]
    [Pattern(Patterns.Label)]
    public required string Name { get; set; }

    /// <summary>Which pods.</summary>
    public required V1LabelSelector PodSelector { get; set; }

    /// <summary>Which namespaces. Absent: all.</summary>
    public V1LabelSelector? NamespaceSelector { get; set; }

    /// <summary>What the pods do to memory.</summary>
    public required MemoryIntent Intent { get; set; }
}

/// <summary>What a workload does to memory.</summary>
public enum MemoryIntent
{
    /// <summary>Not said: classified from its own counters.</summary>
    Unknown,

    /// <summary>Mostly reads.</summary>
    ReadHeavy,

    /// <summary>Mostly writes.</summary>
    WriteHeavy,

    /// <summary>Both.</summary>
    Balanced,

    /// <summary>Little traffic, but it must not wait.</summary>
    Latency,
}

/// <summary>How memory traffic is scheduled.</summary>
public sealed class MemoryPolicySpec
{
    /// <summary>The strategy.</summary>
    public MemoryStrategy Strategy { get; set; } = MemoryStrategy.Auto;

    /// <summary>Longest wait of a runnable task before it goes first whatever its class.</summary>
    [Duration]
    [CelRule(PositiveDuration.Rule, PositiveDuration.Message)]
    [CelRule(AgingDuration.Rule, AgingDuration.Message)]
    public string AgingLimit { get; set; } = "20ms";

    /// <summary>Share of reads, in percent, above which an unhinted workload counts as a reader.</summary>
    [Range(50, 100)]
    public int ReaderAbovePercent { get; set; } = 70;

    /// <summary>Share of reads, in percent, below which an unhinted workload counts as a writer.</summary>
    [Range(0, 50)]
    public int WriterBelowPercent { get; set; } = 30;

    /// <summary>Share of reads, in percent, that a link's traffic is steered to.</summary>
    [Range(1, 99)]
    public int TargetReadPercent { get; set; } = 50;

    /// <summary>
    /// What becomes of CPU limits, which hold for the kernel's own scheduler only: while the duplex scheduler runs a machine, CPU requests and limits there do not count.
    /// </summary>
    public CpuLimitHandling CpuLimits { get; set; } = CpuLimitHandling.Honour;

    /// <summary>The intents that a pod may claim by its annotation; others are reported and not honoured. Absent: all. Latency goes before everybody: whoever may annotate pods may take that.</summary>
    [Size(0, 5)]
    [ListSet]
    public List<MemoryIntent>? AnnotationIntents { get; set; }

    /// <summary>Interleave weights by NUMA node, in force at the levels Interleave and SchedExt. Absent: at Interleave from the measured or reported bandwidth, at SchedExt none.</summary>
    [Size(0, 256)]
    [ListMap("node")]
    public List<InterleaveWeight>? InterleaveWeights { get; set; }
}

/// <summary>CPU limits and the duplex scheduler.</summary>
public enum CpuLimitHandling
{
    /// <summary>The duplex scheduler stands by while a cgroup of the machine has a CPU limit.</summary>
    Honour,

    /// <summary>The duplex scheduler runs the machine all the same, and the limits do not hold meanwhile.</summary>
    Ignore,
}

/// <summary>Strategies.</summary>
public enum MemoryStrategy
{
    /// <summary>The one whose measured effect is best; says why.</summary>
    Auto,

    /// <summary>Count, change nothing.</summary>
    Observe,

    /// <summary>Weighted interleave between nodes.</summary>
    Interleave,

    /// <summary>Run readers beside writers.</summary>
    DuplexPair,

    /// <summary>Limit the heavier direction.</summary>
    DuplexToken,

    /// <summary>Keep the latency class ahead of bulk traffic.</summary>
    LatencyGuard,
}

/// <summary>The interleave weight of a NUMA node.</summary>
public sealed class InterleaveWeight
{
    /// <summary>NUMA node.</summary>
    [Range(0, 1023)]
    public required int Node { get; set; }

    /// <summary>Pages per round.</summary>
    [Range(1, 255)]
    public required int Weight { get; set; }
}

/// <summary>What to do where the node cannot do what the policy asks.</summary>
public sealed class MemoryFallbackSpec
{
    /// <summary>Where the kernel has no sched_ext, or refuses the duplex scheduler.</summary>
    public SchedulerFallback WithoutSchedExt { get; set; } = SchedulerFallback.Interleave;

    /// <summary>Where there is no CXL memory. Other memory without processors, which CXL memory that firmware has set up looks like, is interleaved all the same.</summary>
    public CxlFallback WithoutCxl { get; set; } = CxlFallback.Observe;
}

/// <summary>Without sched_ext.</summary>
public enum SchedulerFallback
{
    /// <summary>Weighted interleave only.</summary>
    Interleave,

    /// <summary>Count, change nothing.</summary>
    Observe,

    /// <summary>Report the node as not ready.</summary>
    Fail,
}

/// <summary>Without CXL memory.</summary>
public enum CxlFallback
{
    /// <summary>Count, change nothing.</summary>
    Observe,

    /// <summary>Report the node as not ready.</summary>
    Fail,
}

/// <summary>Where read and write counts come from.</summary>
public sealed class TelemetrySpec
{
    /// <summary>The source.</summary>
    public TelemetrySource Source { get; set; } = TelemetrySource.Auto;

    /// <summary>How often counters are read.</summary>
    [Duration]
    [CelRule("duration(self) >= duration('100ms')", "must be 100ms or longer")]
    [CelRule(TimerDuration.Rule, TimerDuration.Message)]
    public string Interval { get; set; } = "1s";
}

/// <summary>Telemetry sources.</summary>
public enum TelemetrySource
{
    /// <summary>The best that the node has.</summary>
    Auto,

    /// <summary>Performance events of the CXL or memory controller.</summary>
    PerfEvents,

    /// <summary>Memory bandwidth monitoring through resctrl: the machine's traffic. Shares of reads are estimated, as it tells none.</summary>
    Resctrl,

    /// <summary>Data access monitoring. It tells no reads from writes: the agent warns, and estimates as with Bpf.</summary>
    Damon,

    /// <summary>The estimator in the eBPF observer.</summary>
    Bpf,
}

/// <summary>The agent's pods.</summary>
public sealed class NodeAgentSpec
{
    /// <summary>The container image. Absent: the operator's own.</summary>
    [Size(1, 512)]
    [Pattern(Patterns.Image)]
    public string? Image { get; set; }

    /// <summary>When to pull the image.</summary>
    public ImagePullPolicy ImagePullPolicy { get; set; } = ImagePullPolicy.IfNotPresent;

    /// <summary>Secrets for pulling the image, in the namespace of the node agents.</summary>
    [Size(0, 16)]
    public List<LocalReference>? ImagePullSecrets { get; set; }

    /// <summary>How the agent gets its rights.</summary>
    public AgentPrivilege Privilege { get; set; } = AgentPrivilege.Capabilities;

    /// <summary>Requests and limits.</summary>
    public V1ResourceRequirements? Resources { get; set; }

    /// <summary>Taints the agent tolerates.</summary>
    [Size(0, 64)]
    public List<V1Toleration>? Tolerations { get; set; }

    /// <summary>Priority class.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public string PriorityClassName { get; set; } = "system-node-critical";

    /// <summary>TCP port of health, status and metrics.</summary>
    [Range(1, 65535)]
    public int Port { get; set; } = 9402;
}

/// <summary>How the agent gets its rights.</summary>
public enum AgentPrivilege
{
    /// <summary>BPF, PERFMON and SYS_NICE, and nothing else.</summary>
    Capabilities,

    /// <summary>A privileged container, for nodes on which capabilities do not suffice: the agent then reports NotPermitted.</summary>
    Privileged,
}

/// <summary>What is, as the operator last saw it.</summary>
public sealed class MemorySchedulingProfileStatus
{
    /// <summary>The generation of the spec that this status describes.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary>Ready, Progressing, Degraded, NodesAsExpected, Overlaps.</summary>
    [ListMap("type")]
    public List<V1Condition>? Conditions { get; set; }

    /// <summary>Nodes that the profile selects.</summary>
    public int? DesiredNodes { get; set; }

    /// <summary>Nodes whose agent is ready.</summary>
    public int? ReadyNodes { get; set; }

    /// <summary>Each node, sorted by name.</summary>
    [Size(0, 5000)]
    [ListMap("name")]
    public List<NodeMemoryStatus>? Nodes { get; set; }
}

/// <summary>A node as its agent reports it.</summary>
public sealed class NodeMemoryStatus
{
    /// <summary>The longest message.</summary>
    public const int LongestMessage = 1024;

    /// <summary>The most settings that are named.</summary>
    public const int MostNotHonoured = 8;

    /// <summary>The longest word about a setting.</summary>
    public const int LongestNotHonoured = 256;

    /// <summary>The node's name.</summary>
    public required string Name { get; set; }

    /// <summary>What the agent can do there.</summary>
    public SchedulingLevel? Level { get; set; }

    /// <summary>Why not more.</summary>
    public string? Reason { get; set; }

    /// <summary>The reason in words; of a program that the kernel rejected, the verifier's last.</summary>
    [Size(0, LongestMessage)]
    public string? Message { get; set; }

    /// <summary>Where read and write counts come from.</summary>
    public TelemetrySource? TelemetrySource { get; set; }

    /// <summary>Kernel release.</summary>
    public string? Kernel { get; set; }

    /// <summary>State of the loaded scheduler, as the kernel says it.</summary>
    public string? Scheduler { get; set; }

    /// <summary>NUMA nodes without processors.</summary>
    public int? MemoryOnlyNodes { get; set; }

    /// <summary>Settings, annotations and attributes that the agent cannot honour there, each with its name and why.</summary>
    [Size(0, MostNotHonoured)]
    [ItemSize(0, LongestNotHonoured)]
    public List<string>? NotHonoured { get; set; }
}

/// <summary>What an agent can do on a node.</summary>
public enum SchedulingLevel
{
    /// <summary>Count, change nothing.</summary>
    Observe,

    /// <summary>Weighted interleave.</summary>
    Interleave,

    /// <summary>The duplex scheduler.</summary>
    SchedExt,
}
