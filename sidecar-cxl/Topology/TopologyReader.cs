using Moebius.Crds;

namespace Moebius.Cxl.Topology;

/// <summary>
/// Reads a machine's memory from sysfs: the CXL bus (Documentation/ABI/testing/sysfs-bus-cxl), DAX devices
/// (sysfs-bus-dax), NUMA nodes with their HMAT classes (admin-guide/mm/numaperf), memory tiers, and weighted interleave
/// (sysfs-kernel-mm-mempolicy-weighted-interleave).
/// </summary>
internal static class TopologyReader
{
    private const string CxlDevices = "bus/cxl/devices";
    private const string DaxDevices = "bus/dax/devices";
    private const string Nodes = "devices/system/node";

    /// <summary>The largest number of a node: the kernel has at most 1024.</summary>
    internal const int MostNode = 1023;

    /// <summary>Reads the tree below <paramref name="sysfs"/>, usually /sys.</summary>
    /// <exception cref="UserInputException">The directory is not there or is no sysfs.</exception>
    public static NodeTopology Read(string sysfs)
    {
        if (!Directory.Exists(Path.Combine(sysfs, Nodes)))
            throw new UserInputException($"--sysfs {sysfs}: has no {Nodes}; give the mount point of sysfs, such as /sys");
        var tree = new SysfsTree(sysfs);
        var regions = Items(tree, CxlDevices, "region", ReadRegion);
        var dax = Items(tree, DaxDevices, "dax", ReadDax);
        var tiers = ReadTiers(tree);
        return new NodeTopology
        {
            MemoryDevices = Items(tree, CxlDevices, "mem", ReadMemoryDevice),
            Decoders = Items(tree, CxlDevices, "decoder", ReadDecoder),
            Regions = regions,
            DaxDevices = dax,
            Nodes = [.. tree.Indexed(Nodes, "node", MostNode).Select(node => ReadNode(tree, node.Number, $"{Nodes}/{node.Name}", regions, dax, tiers))],
            WeightedInterleave = WeightedInterleave.Read(tree),
            Warnings = tree.Warnings,
        };
    }

    private static List<T> Items<T>(SysfsTree tree, string directory, string prefix, Func<SysfsTree, string, string, T> read) =>
        [.. tree.Numbered(directory, prefix).Select(name => read(tree, name, $"{directory}/{name}"))];

    private static CxlMemoryDevice ReadMemoryDevice(SysfsTree tree, string name, string path) => new(
        name,
        tree.Text($"{path}/serial"),
        tree.Number($"{path}/ram/size") ?? 0,
        tree.Number($"{path}/pmem/size") ?? 0,
        NodeOrNull(tree.Number($"{path}/numa_node", -1, MostNode)),
        tree.Text($"{path}/firmware_version") is { Length: > 0 } firmware ? firmware : null);

    private static CxlDecoder ReadDecoder(SysfsTree tree, string name, string path)
    {
        var kind = tree.Text($"{path}/devtype") ?? Uevent(tree, path, "DEVTYPE");
        return new CxlDecoder(
            name,
            kind switch
            {
                "cxl_decoder_endpoint" => CxlDecoderKind.Endpoint,
                "cxl_decoder_switch" => CxlDecoderKind.Switch,
                "cxl_decoder_root" => CxlDecoderKind.Root,
                // Before the kernel said what a decoder is: only windows list how regions are made.
                _ when tree.Exists($"{path}/create_ram_region") || tree.Exists($"{path}/create_pmem_region") => CxlDecoderKind.Root,
                _ when tree.Exists($"{path}/dpa_size") => CxlDecoderKind.Endpoint,
                _ => CxlDecoderKind.Switch,
            },
            Address(tree, $"{path}/start"),
            tree.Number($"{path}/size") ?? 0,
            tree.Number($"{path}/interleave_ways", 1, 32),
            tree.Number($"{path}/interleave_granularity", 0, 1 << 20),
            tree.Text($"{path}/region") is { Length: > 0 } region ? region : null);
    }

    private static CxlRegion ReadRegion(SysfsTree tree, string name, string path) => new(
        name,
        tree.Text($"{path}/mode") is { Length: > 0 } mode ? mode : null,
        Address(tree, $"{path}/resource"),
        tree.Number($"{path}/size") ?? 0,
        tree.Number($"{path}/interleave_ways", 0, 32),
        tree.Number($"{path}/interleave_granularity", 0, 1 << 20),
        [.. tree.Numbered(path, "target").Select(target => tree.Text($"{path}/{target}")).OfType<string>().Where(target => target.Length > 0)],
        tree.Number($"{path}/commit") == 1,
        ReadAccess(tree, $"{path}/access0"),
        ReadAccess(tree, $"{path}/access1"));

    private static DaxDevice ReadDax(SysfsTree tree, string name, string path) => new(
        name,
        tree.Number($"{path}/size") ?? 0,
        NodeOrNull(tree.Number($"{path}/target_node", -1, MostNode)),
        tree.LinkName($"{path}/driver"),
        // .../root0/decoder0.0/region0/dax_region0/dax0.0
        tree.Link(path)?.Split('/').LastOrDefault(part => part.StartsWith("region", StringComparison.Ordinal)));

    private static NumaNode ReadNode(SysfsTree tree, int id, string path, List<CxlRegion> regions, List<DaxDevice> dax, Dictionary<int, int> tiers)
    {
        var cpus = tree.List($"{path}/cpulist") ?? [];
        var access0 = ReadAccess(tree, $"{path}/access0/initiators");
        var access1 = ReadAccess(tree, $"{path}/access1/initiators");
        // Only kmem makes a device's memory the node's own. Firmware may also have handed a region's range over as plain
        // memory: then the range itself says where it is.
        string[] behind = [.. dax.Where(device => device.TargetNode == id && device.Driver == "kmem").Select(device => device.Region).OfType<string>()
            .Concat(regions.Where(region => region.Committed && HoldsAddress(tree, path, region.Start)).Select(region => region.Name))
            .Distinct().Order(StringComparer.Ordinal)];
        var region = behind.Length == 1 ? regions.Find(region => region.Name == behind[0]) : null;
        return new NumaNode
        {
            Id = id,
            Kind = cpus.Count > 0 ? NumaNodeKind.Processors : behind.Length > 0 ? NumaNodeKind.Cxl : NumaNodeKind.MemoryOnly,
            Cpus = cpus,
            MemoryBytes = ReadMemoryTotal(tree, path),
            Distances = [.. (tree.Text($"{path}/distance") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(text => int.TryParse(text, out var distance) ? distance : 0)],
            Access0 = access0,
            Access1 = access1,
            Initiators = [.. tree.Indexed($"{path}/access0/initiators", "node", MostNode).Select(initiator => initiator.Number)],
            Tier = tiers.TryGetValue(id, out var tier) ? tier : null,
            Regions = behind,
            Performance = access1 ?? access0 ?? region?.Access1 ?? region?.Access0,
        };
    }

    private static long ReadMemoryTotal(SysfsTree tree, string path)
    {
        // "Node 0 MemTotal:       24648708 kB"
        var line = (tree.Text($"{path}/meminfo") ?? "").Split('\n').FirstOrDefault(line => line.Contains("MemTotal:", StringComparison.Ordinal));
        if (line is null)
            return 0;
        var number = line[(line.IndexOf(':') + 1)..].Replace("kB", "", StringComparison.Ordinal).Trim();
        if (long.TryParse(number, out var kilobytes))
            return kilobytes * 1024;
        tree.Warn($"{path}/meminfo: '{line.Trim()}' has no number of kB");
        return 0;
    }

    private static bool HoldsAddress(SysfsTree tree, string path, ulong? address)
    {
        // The one file of sysfs that is hexadecimal without 0x.
        var text = tree.Text("devices/system/memory/block_size_bytes");
        return address is { } start
            && ulong.TryParse(text, System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out var block)
            && block > 0
            && tree.Exists($"{path}/memory{start / block}");
    }

    private static MemoryAccess? ReadAccess(SysfsTree tree, string path)
    {
        var access = new MemoryAccess(Positive("read_bandwidth"), Positive("write_bandwidth"), Positive("read_latency"), Positive("write_latency"));
        return access == new MemoryAccess(null, null, null, null) ? null : access;

        // 0 stands for "not said".
        long? Positive(string name) => tree.Number($"{path}/{name}") is > 0 and var value ? value : null;
    }

    private static Dictionary<int, int> ReadTiers(SysfsTree tree)
    {
        const string Directory = "devices/virtual/memory_tiering";
        var tiers = new Dictionary<int, int>();
        foreach (var (name, tier) in tree.Indexed(Directory, "memory_tier", int.MaxValue))
        {
            foreach (var node in tree.List($"{Directory}/{name}/nodelist") ?? [])
                tiers[node] = tier;
        }

        return tiers;
    }

    private static int? NodeOrNull(int? node) => node is >= 0 ? node : null;

    private static ulong? Address(SysfsTree tree, string path)
    {
        // All ones is the kernel's "none".
        if (tree.Text(path) is not { Length: > 2 } text || text is "0xffffffffffffffff")
            return null;
        if (text.StartsWith("0x", StringComparison.Ordinal) && ulong.TryParse(text.AsSpan(2), System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out var address))
            return address;
        tree.Warn($"{path}: '{text}' is not an address such as 0x100000000");
        return null;
    }

    private static string? Uevent(SysfsTree tree, string path, string field) =>
        tree.Text($"{path}/uevent")?.Split('\n').FirstOrDefault(line => line.StartsWith(field + "=", StringComparison.Ordinal))?[(field.Length + 1)..];
}
