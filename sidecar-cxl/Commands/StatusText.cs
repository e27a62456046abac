using Moebius.Crds;
using Moebius.Cxl.Agent;

namespace Moebius.Cxl.Commands;

/// <summary>An agent's report for people.</summary>
internal static class StatusText
{
    public static void Write(AgentStatus status, TextWriter output)
    {
        output.WriteLine($"level      {status.Level} ({status.Reason})");
        foreach (var part in status.Message.Split("; ", StringSplitOptions.RemoveEmptyEntries))
            output.WriteLine($"           {part}");
        output.WriteLine($"kernel     {status.Kernel}, sched_ext {status.Scheduler}");
        output.WriteLine($"observer   {status.Observer.Reason}: {status.Observer.Message}");
        if (status.Observer.Loaded)
        {
            var lost = status.Observer.Losses;
            output.WriteLine($"telemetry  {status.TelemetrySource}: {status.TelemetryMessage}");
            output.WriteLine($"counted    {Count(status.Observer.Cgroups, "cgroup")} in {status.Observer.Hierarchy ?? "no hierarchy"}; {status.Observer.Bursts} bursts");
            output.WriteLine($"lost       {lost.Cgroups} cgroup updates, {lost.Events} events, {lost.Tasks} task look-ups, {lost.Samples} perf events, {lost.SkippedRuns} skipped runs, {status.Observer.Vanished} cgroups that vanished meanwhile");
        }

        output.WriteLine($"traffic    {(status.Traffic.Source is { } traffic ? $"{traffic}: " : "")}{status.Traffic.Message}");
        foreach (var count in status.Traffic.Counts)
            output.WriteLine($"           {count.Link} {count.Direction}: {Quantities.Format((long)count.Bytes)} since the start");
        if (status.Duplex is { } duplex)
        {
            output.WriteLine($"scheduler  {duplex.Reason}: {duplex.Message}");
            output.WriteLine($"strategy   {duplex.Strategy} ({duplex.StrategyReason}){(duplex.Limited is { } limited ? $"; limits {limited}" : "")}");
        }

        var topology = status.Topology;
        output.WriteLine($"memory     {Count(topology.NumaNodes, "NUMA node")} ({topology.MemoryOnlyNodes} memory-only, {topology.CxlNodes} CXL), {Quantities.Format(topology.MemoryBytes)}, {Quantities.Format(topology.CxlBytes)} of it CXL; {Count(topology.CxlDevices, "CXL device")}, {Count(topology.CxlRegions, "region")}");
        if (status.InterleaveWeights is { } weights)
            output.WriteLine($"weights    {InterleaveKeeper.Format(weights)}");
        foreach (var warning in status.Warnings)
            output.WriteLine($"warning    {warning}");
        if (status.Cgroups.Count == 0)
            return;
        output.WriteLine();
        output.WriteLine($"{"RUN s",10} {"SWITCHES",10} {"WAKEUPS",10} {"MIGR",7} {"R-FAULTS",10} {"W-FAULTS",10} {"READ %",6}  {"CLASS",-10} CGROUP");
        foreach (var cgroup in status.Cgroups)
            output.WriteLine($"{cgroup.RunSeconds,10:F3} {cgroup.Switches,10} {cgroup.Wakeups,10} {cgroup.Migrations,7} {cgroup.ReadFaults,10} {cgroup.WriteFaults,10} {(cgroup.ReadPercent is { } read ? $"{read}" : "-"),6}  {cgroup.Intent,-10} {cgroup.Path}");
    }

    private static string Count(int number, string what) => $"{number} {what}{(number == 1 ? "" : "s")}";
}
