using System.Globalization;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Telemetry;

/// <summary>A performance monitoring unit as sysfs describes it: its type, where it counts, and how its events are written.</summary>
internal sealed class PmuDevice
{
    private const string Folder = "bus/event_source/devices";
    private readonly SysfsTree _tree;

    private PmuDevice(SysfsTree tree, string name, uint type, IReadOnlyList<int> cpus) => (_tree, Name, Type, Cpus) = (tree, name, type, cpus);

    /// <summary>Its name, as in cxl_pmu_mem0.0.</summary>
    public string Name { get; }

    /// <summary>perf_event_attr.type.</summary>
    public uint Type { get; }

    /// <summary>
    /// The CPUs on which its events are opened, each of which counts for itself: a unit of the package has one for each socket.
    /// </summary>
    public IReadOnlyList<int> Cpus { get; }

    /// <summary>The units whose names start with a prefix and go on with a digit.</summary>
    public static IEnumerable<PmuDevice> Find(SysfsTree tree, string prefix)
    {
        foreach (var name in tree.Numbered(Folder, prefix))
        {
            if (tree.Number($"{Folder}/{name}/type", 0, int.MaxValue) is { } type)
                yield return new PmuDevice(tree, name, (uint)type, tree.List($"{Folder}/{name}/cpumask") is [_, ..] cpus ? cpus : [0]);
        }
    }

    /// <summary>What sysfs says that an event is, as in event=0x04,umask=0x03; null if the unit does not name it.</summary>
    public string? Event(string name) => _tree.Text($"{Folder}/{Name}/events/{name}");

    /// <summary>Bytes that one count of an event stands for: a line of memory where sysfs does not say.</summary>
    public double BytesPerCount(string name)
    {
        const double Line = 64;
        return double.TryParse(_tree.Text($"{Folder}/{Name}/events/{name}.scale"), NumberStyles.Float, CultureInfo.InvariantCulture, out var scale) && scale > 0
            ? _tree.Text($"{Folder}/{Name}/events/{name}.unit") switch { "MiB" => scale * (1 << 20), "Bytes" => scale, _ => Line }
            : Line;
    }

    /// <summary>perf_event_attr.config of an event; null if the unit has no such field.</summary>
    public ulong? Encode(string text)
    {
        ulong config = 0;
        foreach (var term in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var (field, value) = term.Split('=') switch
            {
                [var name] => (name, (ulong?)1),
                [var name, var number] => (name, Number(number)),
                _ => (term, null),
            };
            if (value is not { } bits || Place(field, bits) is not { } placed)
                return null;
            config |= placed;
        }

        return config;
    }

    /// <summary>Spreads a value over the bits of a field, as in config:0-7,32-35.</summary>
    private ulong? Place(string field, ulong value)
    {
        if (field == "config")
            return value;
        const string Register = "config:";
        if (_tree.Text($"{Folder}/{Name}/format/{field}") is not { } format || !format.StartsWith(Register, StringComparison.Ordinal)
            || CpuList.TryParse(format[Register.Length..]) is not { } bits || bits.Any(bit => bit > 63))
            return null;
        ulong placed = 0;
        foreach (var bit in bits)
        {
            placed |= (value & 1) << bit;
            value >>= 1;
        }

        return value == 0 ? placed : null;
    }

    private static ulong? Number(string text) =>
        text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null
            : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) ? value : null;
}
