using System.CommandLine;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Commands;

/// <summary><c>moebius cxl topology</c>.</summary>
internal static class TopologyCommand
{
    public static Command Create()
    {
        var sysfs = CommonOptions.Sysfs();
        var output = new OutputFormat();
        var command = new Command("topology", "Show NUMA nodes, CXL devices and regions, DAX devices and interleave weights.") { sysfs, output };
        command.SetAction(parse =>
        {
            var json = output.IsJson(parse);
            var topology = TopologyReader.Read(parse.GetRequiredValue(sysfs));
            var console = parse.InvocationConfiguration.Output;
            if (json)
                console.WriteLine(JsonSerializer.Serialize(topology, AgentServer.Json));
            else
                Write(topology, console);
            return 0;
        });
        return command;
    }

    private static void Write(NodeTopology topology, TextWriter output)
    {
        foreach (var node in topology.Nodes)
        {
            var weight = topology.WeightedInterleave?.Weights.TryGetValue(node.Id, out var value) == true ? $", interleave weight {value}" : "";
            var regions = node.Regions.Count > 0 ? $" ({string.Join(", ", node.Regions)})" : "";
            output.WriteLine($"node{node.Id}  {node.Kind}{regions}  {Quantities.Format(node.MemoryBytes)}  cpus {(node.Cpus.Count > 0 ? CpuList.Format(node.Cpus) : "none")}  distances {string.Join(' ', node.Distances)}{(node.Tier is { } tier ? $"  tier {tier}" : "")}{weight}");
            if (node.Performance is { } performance)
                output.WriteLine($"       reported: {Describe(performance)}");
        }

        foreach (var device in topology.MemoryDevices)
            output.WriteLine($"{device.Name}  CXL memory device  {Quantities.Format(device.VolatileBytes)} volatile, {Quantities.Format(device.PersistentBytes)} persistent{(device.NumaNode is { } node ? $", near node{node}" : "")}, serial {device.Serial ?? "unknown"}");
        foreach (var region in topology.Regions)
        {
            output.WriteLine($"{region.Name}  CXL region  {region.Mode ?? "mode unknown"}  {Quantities.Format(region.Bytes)}  {region.InterleaveWays}-way, {region.InterleaveGranularity} B  {(region.Committed ? "committed" : "not committed")}  targets {string.Join(", ", region.Targets)}");
            if ((region.Access1 ?? region.Access0) is { } access)
                output.WriteLine($"       reported: {Describe(access)}");
        }

        foreach (var decoder in topology.Decoders)
            output.WriteLine($"{decoder.Name}  CXL decoder  {decoder.Kind}  {Quantities.Format(decoder.Bytes)}{(decoder.Region is { } region ? $"  {region}" : "")}");
        foreach (var dax in topology.DaxDevices)
            output.WriteLine($"{dax.Name}  DAX device  {Quantities.Format(dax.Bytes)}  {(dax.TargetNode is { } node ? $"node{node}" : "no node")}  driver {dax.Driver ?? "none"}{(dax.Region is { } region ? $"  {region}" : "")}");
        if (topology.WeightedInterleave is null)
            output.WriteLine("weighted interleave: the kernel has none (needs 6.9)");
        foreach (var warning in topology.Warnings)
            output.WriteLine($"warning: {warning}");
    }

    private static string Describe(MemoryAccess access) =>
        $"read {Figure(access.ReadBandwidth, "MB/s")} {Figure(access.ReadLatency, "ns")}, write {Figure(access.WriteBandwidth, "MB/s")} {Figure(access.WriteLatency, "ns")}";

    private static string Figure(long? value, string unit) => value is { } figure ? $"{figure} {unit}" : $"? {unit}";
}
