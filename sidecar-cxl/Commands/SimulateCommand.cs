using System.CommandLine;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Simulation;

namespace Moebius.Cxl.Commands;

/// <summary><c>moebius cxl simulate</c>.</summary>
internal static class SimulateCommand
{
    public static Command Create()
    {
        var curve = new Option<string>("--curve") { Description = $"The link: {string.Join(", ", LinkCurve.Published.Select(curve => curve.Name))}.", DefaultValueFactory = _ => LinkCurve.CxlA.Name };
        var readers = Count("--readers", "Threads that only read.", 24);
        var writers = Count("--writers", "Threads that only write.", 8);
        var balanced = Count("--balanced", "Threads that do both alike.", 0);
        var latency = Count("--latency", "Latency-class threads: little traffic that must not wait.", 2);
        var cores = Count("--cores", "Cores that share the link.", 16);
        var demand = new Option<double?>("--demand") { Description = "GiB/s that a thread asks for on a core. Without it: together twice the link's peak." };
        var slices = Count("--slices", "Slices of 2 ms to run.", 5000);
        var seed = Count("--seed", "Seed of what chance decides.", 1);
        var output = new OutputFormat();
        var plot = new Option<string?>("--plot") { Description = "Draw the result as SVG.", HelpName = "FILE" };
        var command = new Command("simulate", "Simulate the strategies on the published bandwidth curves of CXLAimPod. A simulation, not a measurement.")
        {
            curve, readers, writers, balanced, latency, cores, demand, slices, seed, output, plot,
        };
        command.SetAction(parse =>
        {
            var json = output.IsJson(parse);
            var name = parse.GetRequiredValue(curve);
            var link = LinkCurve.Published.FirstOrDefault(curve => curve.Name == name)
                ?? throw new UserInputException($"--curve {name}: no such curve; give one of {string.Join(", ", LinkCurve.Published.Select(curve => curve.Name))}");
            var coreCount = AtLeast(parse.GetRequiredValue(cores), 1, "--cores");
            var each = parse.GetValue(demand) ?? 2 * link.At(link.BestShare) / coreCount;
            if (!(each > 0 && double.IsFinite(each)))
                throw new UserInputException($"--demand {each}: must be above 0 GiB/s");
            var workload = Workload.Classes(
                AtLeast(parse.GetRequiredValue(readers), 0, "--readers"),
                AtLeast(parse.GetRequiredValue(writers), 0, "--writers"),
                AtLeast(parse.GetRequiredValue(balanced), 0, "--balanced"),
                AtLeast(parse.GetRequiredValue(latency), 0, "--latency"),
                coreCount,
                each);
            if (workload.Threads.Count == 0)
                throw new UserInputException("--readers, --writers, --balanced and --latency are all 0: there is nothing to simulate");
            var simulator = new Simulator(link, workload, parse.GetRequiredValue(seed));
            var length = AtLeast(parse.GetRequiredValue(slices), 1, "--slices");
            SimulationResult[] results = [.. Simulator.Strategies.Select(strategy => simulator.Run(strategy, length)), simulator.Oracle()];
            if (parse.GetValue(plot) is { } picture)
                OutputFiles.Write("--plot", picture, SimulationPlot.Draw(link, workload, results));
            var console = parse.InvocationConfiguration.Output;
            if (json)
                console.WriteLine(JsonSerializer.Serialize(new { simulation = true, curve = link.Name, results }, AgentServer.Json));
            else
                Write(link, workload, results, console);
            return 0;
        });
        return command;
    }

    private static Option<int> Count(string name, string description, int value) => new(name) { Description = description, DefaultValueFactory = _ => value };

    private static int AtLeast(int value, int minimum, string option) =>
        value >= minimum ? value : throw new UserInputException($"{option} {value}: must be {minimum} or more");

    private static void Write(LinkCurve link, Workload workload, SimulationResult[] results, TextWriter output)
    {
        output.WriteLine($"SIMULATION on the published curve {link.Name} (CXLAimPod, arXiv 2508.15980): a model, not a measurement.");
        output.WriteLine($"{workload.Threads.Count} threads on {workload.Cores} cores.");
        output.WriteLine();
        output.WriteLine($"{"STRATEGY",-14} {"GiB/s",8} {"OF ORACLE",10} {"READS",6} {"WAIT p99",9} {"WAIT max",9} {"LATENCY p99",22} {"FAIRNESS",9}");
        foreach (var result in results)
        {
            var latency = result.LatencyP99 is { } tail ? $"{tail.Wait:F0} ms + {tail.Slowdown:F1}x access" : "-";
            output.WriteLine($"{result.Strategy,-14} {result.Bandwidth,8:F1} {result.OfOracle * 100,9:F1}% {Percent(result.ReadShare),6} {Milliseconds(result.WaitP99),9} {Milliseconds(result.WaitMaximum),9} {latency,22} {(result.Fairness is { } fairness ? $"{fairness:F3}" : "-"),9}");
            if (result.Note is { } note)
                output.WriteLine($"{"",-14} {note}");
        }

        output.WriteLine();
        output.WriteLine("not simulated: Interleave, which moves pages between links rather than threads on one");
        output.WriteLine();
        Plot(link, results, output);
    }

    /// <summary>The curve as bars over the share of reads, with each strategy's bandwidth beside it.</summary>
    private static void Plot(LinkCurve link, SimulationResult[] results, TextWriter output)
    {
        const int Width = 56;
        var peak = Math.Max(link.At(link.BestShare), results.Max(result => result.Bandwidth));
        output.WriteLine("the link by share of reads (# carries, . reachable by alternating)");
        for (var percent = 0; percent <= 100; percent += 10)
        {
            var carried = (int)Math.Round(link.At(percent / 100.0) / peak * Width);
            var reachable = (int)Math.Round(link.Envelope(percent / 100.0).Bandwidth / peak * Width);
            output.WriteLine($"{percent,4}% {new string('#', carried)}{new string('.', Math.Max(0, reachable - carried))}");
        }

        output.WriteLine("the strategies");
        foreach (var result in results)
            output.WriteLine($"{new string('=', (int)Math.Round(result.Bandwidth / peak * Width)),-Width} {result.Bandwidth,6:F1} {result.Strategy}");
    }

    private static string Percent(double? share) => share is { } value ? $"{value * 100:F0}%" : "-";

    private static string Milliseconds(double? value) => value is { } milliseconds ? $"{milliseconds:F0} ms" : "-";
}
