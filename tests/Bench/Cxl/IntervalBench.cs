using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.Config;
using Moebius.Cxl.Agent;

namespace Moebius.Bench.Cxl;

/// <summary>
/// Processor time that one interval of the agent takes: all that the observer costs, because nothing of it runs on a
/// context switch. A busy machine makes it no larger, unlike times by the clock.
/// </summary>
internal static class IntervalBench
{
    private const int Rounds = 20;
    private const int Ticks = 10;

    public static Task RunAsync()
    {
        Report.Title(
            $"Processor time of one interval ({Rounds} rounds of {Ticks} intervals; the kernel's part included)",
            "machine", "cgroups", "processor time", "share of one processor at one interval a second", "bar", "");
        using var agent = new NodeAgent(new AgentOptions { Config = new NodeAgentConfig { Profile = "bench" } }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);
        agent.Tick();
        var times = new List<double>();
        for (var round = 0; round < Rounds; round++)
        {
            var before = ProcessorTime();
            for (var tick = 0; tick < Ticks; tick++)
                agent.Tick();
            times.Add((ProcessorTime() - before).TotalMilliseconds / Ticks);
        }

        var spread = Spread.Of(times);
        var share = Spread.Of(times.Select(time => time / agent.Interval.TotalMilliseconds));
        Report.Row($"{Directory.GetDirectories("/proc").Count(path => int.TryParse(Path.GetFileName(path), out _))} processes", $"{agent.Status.Observer.Cgroups}", spread.Text("F2", " ms"), share.Text("P2"), "<= 1%", Report.AtMost(share.Median, 0.01));
        return Task.CompletedTask;
    }

    private static TimeSpan ProcessorTime()
    {
        using var self = Process.GetCurrentProcess();
        return self.TotalProcessorTime;
    }
}
