using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Cxl.Agent;

namespace Moebius.Bench.Cxl;

/// <summary>
/// What the node agent costs other work: programs that do little but switch, or little but fault, with the agent in the
/// kernel and reading once a second, and without.
/// </summary>
internal static class ObserverBench
{
    private const int Rounds = 15;

    public static Task RunAsync()
    {
        Report.Title(
            $"Cost of the observer ({Rounds} rounds; in each one run without, one with and another without, in changing order)",
            "load", "without", "with", "with over without", "without over without (noise)", "bar on the median", "");
        Measure("perf bench sched pipe on one processor (switches only)", () => Perf("taskset", ["-c", "0", "perf"], "sched", "pipe", "-l", "300000"), 0.01);
        Measure("perf bench sched messaging (hackbench)", () => Perf("perf", [], "sched", "messaging", "-g", "10", "-l", "120"), 0.01);
        Measure("a process that touches 256 MiB of fresh pages", Faults, null);
        return Task.CompletedTask;
    }

    private static void Measure(string name, Func<double> run, double? bar)
    {
        var (without, with, cost, noise) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        run(); // whatever is cold
        for (var round = 0; round < Rounds; round++)
        {
            var seconds = new double[3];
            // Position in the round must not favour anybody.
            foreach (var which in round % 2 == 0 ? (int[])[0, 1, 2] : [2, 1, 0])
                seconds[which] = which == 1 ? WithAgent(run) : run();
            without.Add(seconds[0]);
            with.Add(seconds[1]);
            cost.Add(seconds[1] / ((seconds[0] + seconds[2]) / 2));
            noise.Add(seconds[2] / seconds[0]);
        }

        var spread = Spread.Of(cost);
        Report.Row(
            name,
            Spread.Of(without).Text("F3", " s"),
            Spread.Of(with).Text("F3", " s"),
            spread.Text("F4", "x"),
            Spread.Of(noise).Text("F4", "x"),
            bar is { } value ? $"<= {1 + value:F2}x" : "none",
            bar is null ? "" : Report.AtMost(spread.Median, 1 + bar.Value));
    }

    private static double WithAgent(Func<double> run)
    {
        using var agent = new NodeAgent(new AgentOptions { Config = new NodeAgentConfig { Profile = "bench" } }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);
        if (!agent.Status.Observer.Loaded)
            throw new UserInputException($"the observer is not loaded, {agent.Status.Observer.Reason}: {agent.Status.Observer.Message}");
        agent.Tick();
        using var timer = new Timer(_ => agent.Tick(), null, agent.Interval, agent.Interval);
        return run();
    }

    /// <summary>Runs perf's own benchmark and returns the seconds that it reports.</summary>
    private static double Perf(string program, string[] before, params string[] arguments)
    {
        var output = Run(program, [.. before, "bench", "-f", "simple", .. arguments]);
        return double.TryParse(output.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds)
            ? seconds
            : throw new InvalidOperationException($"perf bench {string.Join(' ', arguments)} said '{output}'");
    }

    private static double Faults()
    {
        var begun = Stopwatch.GetTimestamp();
        // dd reads into its own fresh buffer: nothing but page faults and clearing pages.
        Run("dd", ["if=/dev/zero", "of=/dev/null", "bs=256M", "count=1", "status=none"]);
        return Stopwatch.GetElapsedTime(begun).TotalSeconds;
    }

    private static string Run(string program, string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var errors = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} ended with {process.ExitCode}: {errors.Result}");
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new UserInputException($"{program} cannot be run ({error.Message}); Debian: apt-get install linux-perf coreutils", error);
        }
    }
}
