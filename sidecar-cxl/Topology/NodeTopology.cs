namespace Moebius.Cxl.Topology;

/// <summary>The memory of one machine, as sysfs describes it.</summary>
internal sealed record NodeTopology
{
    /// <summary>NUMA nodes by number.</summary>
    public required IReadOnlyList<NumaNode> Nodes { get; init; }

    /// <summary>CXL memory devices by name.</summary>
    public required IReadOnlyList<CxlMemoryDevice> MemoryDevices { get; init; }

    /// <summary>CXL decoders by name: which address ranges go where.</summary>
    public required IReadOnlyList<CxlDecoder> Decoders { get; init; }

    /// <summary>CXL regions by name: address ranges made from one or more devices.</summary>
    public required IReadOnlyList<CxlRegion> Regions { get; init; }

    /// <summary>DAX devices by name: memory handed to user space or, through kmem, to a NUMA node.</summary>
    public required IReadOnlyList<DaxDevice> DaxDevices { get; init; }

    /// <summary>Weighted interleave; null where the kernel has none (before 6.9).</summary>
    public required WeightedInterleaveState? WeightedInterleave { get; init; }

    /// <summary>Files that were there but could not be understood: path and why.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Nodes with memory.</summary>
    public IEnumerable<NumaNode> MemoryNodes => Nodes.Where(node => node.MemoryBytes > 0);

    /// <summary>Nodes whose memory is behind a CXL link.</summary>
    public IEnumerable<NumaNode> CxlNodes => MemoryNodes.Where(node => node.Kind == NumaNodeKind.Cxl);

    /// <summary>Nodes with memory and without processors.</summary>
    public IEnumerable<NumaNode> MemoryOnlyNodes => MemoryNodes.Where(node => node.Cpus.Count == 0);
}

/// <summary>What a NUMA node is.</summary>
internal enum NumaNodeKind
{
    /// <summary>Processors, with or without memory of their own.</summary>
    Processors,

    /// <summary>Memory without processors that no CXL region accounts for: high-bandwidth or persistent memory, or CXL
    /// memory that the firmware set up and hid.</summary>
    MemoryOnly,

    /// <summary>Memory of a CXL region.</summary>
    Cxl,
}

/// <summary>A NUMA node.</summary>
internal sealed record NumaNode
{
    /// <summary>Its number.</summary>
    public required int Id { get; init; }

    /// <summary>What it is.</summary>
    public required NumaNodeKind Kind { get; init; }

    /// <summary>Its processors.</summary>
    public required IReadOnlyList<int> Cpus { get; init; }

    /// <summary>Its memory, in bytes; 0 when none is online.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>SLIT distances to all online nodes, in the order of their numbers; 10 is local.</summary>
    public required IReadOnlyList<int> Distances { get; init; }

    /// <summary>HMAT class 0: as seen from the nearest initiator of any kind.</summary>
    public required MemoryAccess? Access0 { get; init; }

    /// <summary>HMAT class 1: as seen from the nearest processors.</summary>
    public required MemoryAccess? Access1 { get; init; }

    /// <summary>Nodes nearest to this one's memory, from class 0.</summary>
    public required IReadOnlyList<int> Initiators { get; init; }

    /// <summary>The kernel's memory tier; null if it says none.</summary>
    public required int? Tier { get; init; }

    /// <summary>The CXL regions behind the node.</summary>
    public required IReadOnlyList<string> Regions { get; init; }

    /// <summary>
    /// The best figures known: class 1, else class 0, else those of the CXL region behind it (a node made from a region
    /// has no HMAT classes of its own).
    /// </summary>
    public required MemoryAccess? Performance { get; init; }
}

/// <summary>Performance of memory as the firmware reports it. Claims, not measurements.</summary>
/// <param name="ReadBandwidth">MB/s; null if not said.</param>
/// <param name="WriteBandwidth">MB/s; null if not said.</param>
/// <param name="ReadLatency">Nanoseconds; null if not said.</param>
/// <param name="WriteLatency">Nanoseconds; null if not said.</param>
internal sealed record MemoryAccess(long? ReadBandwidth, long? WriteBandwidth, long? ReadLatency, long? WriteLatency);

/// <summary>A CXL type-3 device.</summary>
/// <param name="Name">As in <c>mem0</c>.</param>
/// <param name="Serial">Serial number, as in <c>0x1234</c>.</param>
/// <param name="VolatileBytes">Capacity usable as memory.</param>
/// <param name="PersistentBytes">Persistent capacity.</param>
/// <param name="NumaNode">The node its slot is nearest to; null if not said.</param>
/// <param name="Firmware">Firmware version.</param>
internal sealed record CxlMemoryDevice(string Name, string? Serial, long VolatileBytes, long PersistentBytes, int? NumaNode, string? Firmware);

/// <summary>Where a decoder stands on the way from processor to device.</summary>
internal enum CxlDecoderKind
{
    /// <summary>A window of host addresses.</summary>
    Root,

    /// <summary>In a switch or host bridge.</summary>
    Switch,

    /// <summary>In a device.</summary>
    Endpoint,
}

/// <summary>A CXL decoder.</summary>
/// <param name="Name">As in <c>decoder0.0</c>.</param>
/// <param name="Kind">Where it stands.</param>
/// <param name="Start">First host address; null if not set up.</param>
/// <param name="Bytes">Size.</param>
/// <param name="InterleaveWays">Targets that addresses rotate over.</param>
/// <param name="InterleaveGranularity">Bytes to one target before the next.</param>
/// <param name="Region">The region that uses it; null if free.</param>
internal sealed record CxlDecoder(string Name, CxlDecoderKind Kind, ulong? Start, long Bytes, int? InterleaveWays, int? InterleaveGranularity, string? Region);

/// <summary>A CXL region.</summary>
/// <param name="Name">As in <c>region0</c>.</param>
/// <param name="Mode">ram or pmem; null if the kernel does not say.</param>
/// <param name="Start">First host address; null if not set up.</param>
/// <param name="Bytes">Size.</param>
/// <param name="InterleaveWays">Devices that addresses rotate over.</param>
/// <param name="InterleaveGranularity">Bytes to one device before the next.</param>
/// <param name="Targets">Endpoint decoders, in order.</param>
/// <param name="Committed">The hardware decodes it.</param>
/// <param name="Access0">Performance from the nearest initiator of any kind.</param>
/// <param name="Access1">Performance from the nearest processors.</param>
internal sealed record CxlRegion(string Name, string? Mode, ulong? Start, long Bytes, int? InterleaveWays, int? InterleaveGranularity, IReadOnlyList<string> Targets, bool Committed, MemoryAccess? Access0, MemoryAccess? Access1);

/// <summary>A DAX device.</summary>
/// <param name="Name">As in <c>dax0.0</c>.</param>
/// <param name="Bytes">Size.</param>
/// <param name="TargetNode">The node its memory is, or would be, on; null if none.</param>
/// <param name="Driver">kmem when the memory is the node's, device_dax when user space maps it; null if unbound.</param>
/// <param name="Region">The CXL region it belongs to; null if none.</param>
internal sealed record DaxDevice(string Name, long Bytes, int? TargetNode, string? Driver, string? Region);

/// <summary>The kernel's weighted interleave policy.</summary>
/// <param name="Weights">Pages per round by node.</param>
/// <param name="Automatic">The kernel computes the weights itself (since 6.16); null on kernels that cannot.</param>
internal sealed record WeightedInterleaveState(IReadOnlyDictionary<int, int> Weights, bool? Automatic);
