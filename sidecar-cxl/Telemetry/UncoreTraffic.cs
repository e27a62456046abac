using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Telemetry;

/// <summary>Reads and writes as the memory controllers and the CXL devices themselves count them.</summary>
internal sealed unsafe class UncoreTraffic : ITrafficMeter
{
    /// <summary>
    /// The units that are known, with the names of their events, or what the events are where sysfs names none: CXL 3.0
    /// 13.2 (data responses of a device, writes with data to it), Intel's memory channels, AMD's.
    /// </summary>
    private static readonly (string Prefix, string Link, string[] Reads, string[] Writes)[] Known =
    [
        ("cxl_pmu_mem", "cxl", ["s2m_drs_memdata"], ["m2s_rwd_memwr", "m2s_rwd_memwrptl"]),
        ("uncore_imc_", "memory", ["cas_count_read"], ["cas_count_write"]),
        ("amd_umc_", "memory", ["event=0x0a,rdwrmask=0x1"], ["event=0x0a,rdwrmask=0x2"]),
    ];

    private readonly List<(string Link, string Direction, int Descriptor, double Bytes)> _events = [];
    private readonly Dictionary<int, ulong> _last = [];

    private UncoreTraffic()
    {
    }

    /// <inheritdoc/>
    public TelemetrySource Source => TelemetrySource.PerfEvents;

    /// <inheritdoc/>
    public string Message { get; private set; } = "";

    /// <inheritdoc/>
    public string? Failure { get; private set; }

    /// <summary>Opens the events of all known units; null where there are none, and why.</summary>
    public static (UncoreTraffic? Meter, string Why) Open(string sysfs)
    {
        var tree = new SysfsTree(sysfs);
        var meter = new UncoreTraffic();
        var units = new List<string>();
        try
        {
            foreach (var (prefix, link, reads, writes) in Known)
            {
                foreach (var unit in PmuDevice.Find(tree, prefix))
                {
                    // Both directions or none: half of the traffic would look like a mix.
                    if (Encode(unit, reads) is { Count: > 0 } read && Encode(unit, writes) is { Count: > 0 } write)
                    {
                        meter.Add(unit, link, "read", read);
                        meter.Add(unit, link, "write", write);
                        units.Add(unit.Name);
                    }
                }
            }
        }
        catch (BpfException error)
        {
            meter.Dispose();
            return (null, $"the memory controllers' counters cannot be opened: {error.Message}");
        }

        if (units.Count == 0)
            return (null, "no counters of memory controllers or CXL devices (cxl_pmu_mem*, uncore_imc_*, amd_umc_*)");
        meter.Message = $"counted by {units.Count} units: {string.Join(", ", units.Take(4))}{(units.Count > 4 ? ", ..." : "")}";
        return (meter, meter.Message);
    }

    /// <inheritdoc/>
    public IReadOnlyList<TrafficCount> Read()
    {
        Failure = null;
        foreach (var (_, _, descriptor, _) in _events)
        {
            ulong value;
            if (LibC.read(descriptor, &value, sizeof(ulong)) == sizeof(ulong))
                _last[descriptor] = value;
            else
                Failure = "a counter of memory traffic could not be read";
        }

        return [.. _events.GroupBy(one => (one.Link, one.Direction))
            .Select(group => new TrafficCount(group.Key.Link, group.Key.Direction, group.Sum(one => _last.GetValueOrDefault(one.Descriptor) * one.Bytes)))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, _, descriptor, _) in _events)
            _ = LibC.close(descriptor);
        _events.Clear();
    }

    private static List<(ulong Config, double Bytes)> Encode(PmuDevice unit, string[] names)
    {
        var found = new List<(ulong, double)>();
        foreach (var name in names)
        {
            if ((name.Contains('=', StringComparison.Ordinal) ? name : unit.Event(name)) is { } text && unit.Encode(text) is { } config)
                found.Add((config, unit.BytesPerCount(name)));
        }

        return found;
    }

    private void Add(PmuDevice unit, string link, string direction, List<(ulong Config, double Bytes)> found)
    {
        foreach (var (config, bytes) in found)
        {
            foreach (var cpu in unit.Cpus)
                _events.Add((link, direction, PerfDescriptor.Open(new PerfEvent(unit.Type, config, 0), cpu, 0), bytes));
        }
    }
}
