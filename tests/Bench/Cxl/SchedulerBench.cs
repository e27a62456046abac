using System.Diagnostics;
using System.Globalization;
using Moebius.Crds;

namespace Moebius.Bench.Cxl;

/// <summary>
/// The duplex scheduler against the kernel's own on ordinary work without hints, and what the agent costs that only
/// observes, in a virtual machine whose kernel has sched_ext. The machine's clock counts instructions (2 ns each), so the host's load does not show; only ratios mean
/// anything.
/// </summary>
internal static class SchedulerBench
{
    /// <summary>Rounds of one machine are alike, machines are not: hash seeds and addresses differ.</summary>
    private const int Machines = 4;

    private static readonly (string Name, string Title, double Bar, bool More)[] Figures =
    [
        ("hackbench-seconds", "hackbench, s", 1.03, false),
        ("pipe-us", "a byte to another thread and back, us", 1.03, false),
        ("redis-requests-per-second", "Redis GET, requests/s", 0.97, true),
        ("redis-p99-ms", "Redis GET, p99, ms", 1.2, false),
        ("wake-p50-us", "wake-up of 3 workers, p50, us", 1.03, false),
        ("wake-p99-us", "wake-up of 3 workers, p99, us", 1.2, false),
        ("busy-pipe-us", "a byte to and fro beside a reader and a writer, us", 1.03, false),
        ("busy-redis-requests-per-second", "Redis GET beside a reader and a writer, requests/s", 0.97, true),
        ("busy-redis-p99-ms", "the same, p99, ms", 1.2, false),
        ("busy-wake-p50-us", "wake-up beside a reader and a writer, p50, us", 1.03, false),
        ("busy-wake-p99-us", "the same, p99, us", 1.2, false),
    ];

    public static async Task RunAsync()
    {
        var values = await MeasureAsync();
        var rounds = Figures.ToDictionary(
            figure => figure.Name,
            figure => values.Keys.Where(key => key.Name == figure.Name && key.Run == "kernel")
                .Select(key => (Kernel: values[key], Duplex: values[key with { Run = "duplex" }])).ToList());
        Report.Title(
            $"The duplex scheduler against the kernel's own, EMULATED machine of 2 processors whose clock counts instructions ({rounds.Values.First().Count} rounds in changing order)",
            "load", "kernel", "duplex", "duplex over kernel", "bar on the median", "");
        foreach (var (name, title, bar, more) in Figures)
        {
            var pairs = rounds[name];
            var ratio = Spread.Of(pairs.Select(pair => pair.Duplex / pair.Kernel));
            Report.Row(
                title,
                Spread.Of(pairs.Select(pair => pair.Kernel)).Text("F2"),
                Spread.Of(pairs.Select(pair => pair.Duplex)).Text("F2"),
                ratio.Text("F3", "x"),
                string.Create(CultureInfo.InvariantCulture, $"{(more ? ">=" : "<=")} {bar:F2}x"),
                more ? Report.AtLeast(ratio.Median, bar) : Report.AtMost(ratio.Median, bar));
        }

        Observer(values);
    }

    private static void Observer(Dictionary<(string Name, string Round, string Run), double> values)
    {
        const string Load = "watched-hackbench-seconds";
        var rounds = values.Keys.Where(key => key.Name == Load && key.Run == "kernel")
            .Select(key => (First: values[key], With: values[key with { Run = "observer" }], Last: values[key with { Run = "again" }])).ToList();
        var cost = Spread.Of(rounds.Select(round => round.With / ((round.First + round.Last) / 2)));
        Report.Title(
            $"The node agent, observing, in the same EMULATED machine ({rounds.Count} rounds; in each one run with and two without, in changing order)",
            "load", "without", "with", "with over without", "without over without (noise)", "bar on the median", "");
        Report.Row(
            "hackbench, s",
            Spread.Of(rounds.Select(round => round.First)).Text("F3"),
            Spread.Of(rounds.Select(round => round.With)).Text("F3"),
            cost.Text("F4", "x"),
            Spread.Of(rounds.Select(round => round.Last / round.First)).Text("F4", "x"),
            "<= 1.01x",
            Report.AtMost(cost.Median, 1.01));
    }

    /// <summary>Boots the machines and reads their lines: BENCH ROUND RUN FIGURE VALUE.</summary>
    private static async Task<Dictionary<(string Name, string Round, string Run), double>> MeasureAsync()
    {
        var values = new Dictionary<(string Name, string Round, string Run), double>();
        for (var machine = 0; machine < Machines; machine++)
        {
            foreach (var fields in (await BootAsync()).Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(fields => fields is ["BENCH", _, _, _, _]))
                values.Add((fields[3], $"{machine}-{fields[1]}", fields[2]), double.Parse(fields[4], CultureInfo.InvariantCulture));
        }

        return values;
    }

    private static async Task<string> BootAsync()
    {
        var script = Path.Combine(RepositoryFiles.Root, "build/vm/test.sh");
        using var process = Process.Start(new ProcessStartInfo(script, ["Release", "bench"]) { RedirectStandardOutput = true })!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : throw new UserInputException($"build/vm/test.sh Release bench ended with {process.ExitCode}; what it said is above");
    }
}
