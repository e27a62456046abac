using System.CommandLine;
using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Bench;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Commands;

/// <summary><c>moebius cxl bench</c>.</summary>
internal static class BenchCommand
{
    private static readonly TimeSpan LongestDuration = TimeSpan.FromHours(1);

    public static Command Create()
    {
        var node = new Option<int?>("--node") { Description = "NUMA node to take memory from. Without it: the kernel's choice." };
        var threads = new Option<int>("--threads") { Description = "Threads that access memory.", DefaultValueFactory = _ => Environment.ProcessorCount };
        var size = new Option<string>("--size") { Description = "Memory per thread, a power of two; more than the caches hold.", DefaultValueFactory = _ => "256Mi" };
        var ratios = new Option<string>("--reads") { Description = "Shares of reads to measure, in percent.", DefaultValueFactory = _ => "0,25,50,75,100" };
        var duration = new Option<string>("--duration") { Description = "Time per measurement.", DefaultValueFactory = _ => "500ms" };
        var repeats = new Option<int>("--repeats") { Description = "Measurements per share; the median and the range are shown.", DefaultValueFactory = _ => 5 };
        var locked = new Option<bool>("--lock") { Description = "Lock the memory." };
        var huge = new Option<bool>("--huge-pages") { Description = "Ask for transparent huge pages." };
        var nonTemporal = new Option<bool>("--non-temporal") { Description = "Write past the caches." };
        var output = new OutputFormat();
        var command = new Command("bench", "Measure this machine's memory bandwidth by share of reads.") { node, threads, size, ratios, duration, repeats, locked, huge, nonTemporal, output };
        command.SetAction((parse, cancellation) =>
        {
            var json = output.IsJson(parse);
            var options = new BenchOptions
            {
                Threads = InRange(parse.GetRequiredValue(threads), 1, 4096, "--threads"),
                BytesPerThread = ParseSize(parse.GetRequiredValue(size)),
                Node = parse.GetValue(node) is { } number ? InRange(number, 0, 1023, "--node") : null,
                ReadShares = ParseShares(parse.GetRequiredValue(ratios)),
                Duration = Durations.ParsePositive(parse.GetRequiredValue(duration), "--duration") is var time && time <= LongestDuration ? time : throw new UserInputException($"--duration: '{parse.GetValue(duration)}' must be {LongestDuration.TotalHours:0}h or shorter"),
                Repeats = InRange(parse.GetRequiredValue(repeats), 1, 1000, "--repeats"),
                Lock = parse.GetValue(locked),
                HugePages = parse.GetValue(huge),
                NonTemporal = parse.GetValue(nonTemporal),
            };
            var console = parse.InvocationConfiguration.Output;
            var where = Where(options.Node);
            using var bench = new MemoryBench(options);
            if (json)
            {
                console.WriteLine(JsonSerializer.Serialize(new { memory = where, options.Threads, options.BytesPerThread, options.Lock, options.HugePages, options.NonTemporal, points = bench.Run(cancellation) }, AgentServer.Json));
                return Task.FromResult(0);
            }

            console.WriteLine($"{where}; {options.Threads} {(options.Threads == 1 ? "thread" : "threads")}, {Quantities.Format(options.BytesPerThread)} each, random 64-byte lines{(options.NonTemporal ? ", non-temporal writes" : "")}");
            console.WriteLine($"{"READS",6} {"GiB/s",8} {"MIN",8} {"MAX",8}");
            foreach (var point in bench.Run(cancellation))
                console.WriteLine($"{point.ReadShare * 100,5:F0}% {point.Median,8:F2} {point.Minimum,8:F2} {point.Maximum,8:F2}");
            return Task.FromResult(0);
        });
        return command;
    }

    /// <summary>What memory was measured, so that no figure is taken for CXL's by mistake.</summary>
    private static string Where(int? node)
    {
        if (node is not { } id)
            return "memory of the kernel's choice";
        var found = TopologyReader.Read("/sys").MemoryNodes.FirstOrDefault(node => node.Id == id)
            ?? throw new UserInputException($"--node {id}: this machine has no such node with memory");
        return $"node{id} ({(found.Kind == NumaNodeKind.Cxl ? "CXL memory" : found.Kind == NumaNodeKind.MemoryOnly ? "memory without processors" : "not CXL memory")})";
    }

    private static long ParseSize(string text)
    {
        var bytes = Quantities.ParseBytes(text, "--size");
        return bytes >= 4096 && BitOperations.IsPow2(bytes) ? bytes : throw new UserInputException($"--size {text}: must be a power of two from 4Ki, such as 256Mi");
    }

    private static double[] ParseShares(string text)
    {
        var shares = new List<double>();
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var percent) || percent > 100)
                throw new UserInputException($"--reads {text}: '{part}' is not a whole number from 0 to 100");
            shares.Add(percent / 100.0);
        }

        return [.. shares];
    }

    private static int InRange(int value, int minimum, int maximum, string option) =>
        value >= minimum && value <= maximum ? value : throw new UserInputException($"{option} {value}: must be {minimum} to {maximum}");
}
