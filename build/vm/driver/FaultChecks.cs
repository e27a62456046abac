using System.Diagnostics;
using System.Globalization;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Telemetry;
using static Moebius.Cxl.VirtualMachine.Checks;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>What happens when the scheduler goes, with a Redis that answers all the time.</summary>
internal static class FaultChecks
{
    public static string Killed()
    {
        using var redis = new RedisLoop();
        using var holder = Workers.Again("hold");
        Require(holder.StandardOutput.ReadLine() == "loaded", "the other process did not load the scheduler");
        Require(SchedExt == "enabled", $"the state is {SchedExt}");
        // Afterwards: loading takes seconds of emulated processor time.
        using var busy = new BusyCgroup("busy", 4);
        var before = redis.Answered;
        Thread.Sleep(500);
        Require(redis.Answered > before, "Redis does not answer under the scheduler");
        new[] { holder }.Kill();
        var back = Back();
        Require(back <= Soon.TotalMilliseconds, $"the kernel's scheduler was back after {back} ms");
        return $"back after {back} ms; {Undisturbed(redis)}";
    }

    public static string Fault(byte[] faulty, uint fault, ulong kind)
    {
        using var redis = new RedisLoop();
        using var scheduler = DuplexScheduler.Load(faulty, false, Workers.Parameters(MemoryStrategy.DuplexPair), Workers.Lanes());
        using var busy = new BusyCgroup("busy", 4);
        Thread.Sleep(300);
        Require(scheduler.Exit is null, $"the scheduler has left before the fault: {scheduler.Exit}");
        scheduler.Inject(fault);
        var back = Back();
        Require(back <= Soon.TotalMilliseconds, $"the kernel's scheduler was back after {back} ms");
        Require(scheduler.Exit?.Kind == kind, $"the kernel gives the reason {scheduler.Exit?.Kind} {scheduler.Exit}");
        return $"back after {back} ms: {scheduler.Exit}; {Undisturbed(redis)}";
    }

    private static string Undisturbed(RedisLoop redis)
    {
        var before = redis.Answered;
        Thread.Sleep(500);
        Require(redis.Answered > before, "Redis did not answer afterwards");
        Require(redis.Failed == 0, $"{redis.Failed} requests failed: {redis.Failure}");
        return $"{redis.Answered} requests to Redis, 0 failed, the slowest took {redis.Slowest.TotalMilliseconds:F0} ms";
    }

    /// <summary>A load that calls for the scheduler.</summary>
    public static ClassLoads Busy { get; } = new(1, 1, 0);

    /// <summary>Has the keeper load the scheduler.</summary>
    public static void Engage(SchedulerKeeper keeper)
    {
        Require(keeper.State == SchedulerState.StandingBy, keeper.State.Message);
        for (var i = 0; i < Engagement.EngageAfter; i++)
            keeper.Tick(new Dictionary<ulong, MemoryIntent>(), Busy, 0);
        Require(keeper.State.Loaded, keeper.State.Message);
    }

    /// <summary>A CPU limit keeps the kernel's scheduler, under which alone it holds.</summary>
    public static string CpuLimits()
    {
        var none = new Dictionary<ulong, MemoryIntent>();
        var hierarchy = CgroupHierarchy.Find(null, "/sys")!;
        File.WriteAllText(Path.Combine(hierarchy.Root, "cgroup.subtree_control"), "+cpu");
        using var keeper = new SchedulerKeeper(DuplexScheduler.EmbeddedObject()!, new NodeAgentConfig { Profile = "p", Policy = { Strategy = MemoryStrategy.DuplexPair } }, [[0, 1]], false, "/sys", "/proc", false, TimeProvider.System);
        using var limited = new BusyCgroup("limited", 1);
        Engage(keeper);
        File.WriteAllText(Path.Combine(limited.Root, "cpu.max"), "20000 100000");
        var without = Used(limited);
        keeper.Tick(none, Busy, 0, Count);
        Require(keeper.State is { Loaded: false, Failed: false, Reason: SchedulerState.CpuLimits }, $"{keeper.State}");
        Back();
        var with = Used(limited);
        Require(with < 0.3, $"{with:P0} of a CPU was used, the limit is 20%");
        File.WriteAllText(Path.Combine(limited.Root, "cpu.max"), "max");
        keeper.Tick(none, Busy, 0, Count);
        Require(keeper.State.Loaded, $"{keeper.State}");
        return $"of a limit of 20% of a CPU, {without:P0} was used under the duplex scheduler and {with:P0} under the kernel's";

        int Count() => hierarchy.CpuLimited(hierarchy.Scan().Values);
    }

    /// <summary>CPUs that a cgroup uses.</summary>
    private static double Used(BusyCgroup group)
    {
        var (before, watch) = (Microseconds(), Stopwatch.StartNew());
        Thread.Sleep(2000);
        return (Microseconds() - before) / watch.Elapsed.TotalMicroseconds;

        double Microseconds() => double.Parse(File.ReadLines(Path.Combine(group.Root, "cpu.stat")).First().Split(' ')[1], CultureInfo.InvariantCulture);
    }

    public static string Keeper(byte[] faulty)
    {
        var none = new Dictionary<ulong, MemoryIntent>();
        using var keeper = new SchedulerKeeper(faulty, new NodeAgentConfig { Profile = "p", Policy = { Strategy = MemoryStrategy.DuplexPair } }, [[0, 1]], false, "/sys", "/proc", false, TimeProvider.System);
        Engage(keeper);
        using var busy = new BusyCgroup("busy", 2);
        keeper.Inject(1);
        Back();
        keeper.Tick(none, Busy, 0);
        Require(!keeper.State.Loaded && keeper.State.Reason == "SchedulerExited" && keeper.LastExit is not null, $"{keeper.State}");
        var said = keeper.State.Message;
        for (var i = 0; i < 100 && !keeper.State.Loaded; i++)
        {
            Thread.Sleep(100);
            keeper.Tick(none, Busy, 0);
        }

        Require(keeper.State.Loaded && SchedExt == "enabled", $"{keeper.State}");
        Require(keeper.Failures == 1, $"{keeper.Failures} failures");
        return said;
    }
}
