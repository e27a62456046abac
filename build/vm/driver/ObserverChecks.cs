using System.Diagnostics;
using System.Globalization;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using static Moebius.Cxl.VirtualMachine.Checks;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>What the observer counts on this kernel, beside what is known of the work and what the kernel itself accounts.</summary>
internal static class ObserverChecks
{
    /// <summary>The agent on a kernel without sched_ext: it observes, and says why not more.</summary>
    public static string Agent()
    {
        using var agent = AgentChecks.StartAgent();
        using var busy = new BusyCgroup("busy", 1, intent: "read-heavy");
        for (var i = 0; i < 5; i++)
        {
            agent.Tick();
            Thread.Sleep(300);
        }

        agent.Tick();
        var status = agent.Status;
        Require(status is { Level: SchedulingLevel.Observe, Ready: true }, $"{status.Level}, ready {status.Ready}: {status.Reason}: {status.Message}");
        Require(status.Observer is { Loaded: true, Losses: { Cgroups: 0, Events: 0, Samples: 0, SkippedRuns: 0 } }, $"{status.Observer}");
        Require(status.TelemetrySource == TelemetrySource.Bpf, status.TelemetryMessage);
        var cgroup = status.Cgroups.SingleOrDefault(cgroup => cgroup.Id == busy.Id);
        Require(cgroup is { Hinted: true, Intent: MemoryIntent.ReadHeavy, RunSeconds: > 0.2 }, $"the busy cgroup is reported as {cgroup}");
        return $"{status.Reason}: {status.Message}; {status.Observer.Message}; {cgroup!.RunSeconds:F1} s of {cgroup.Path}";
    }

    public static string RunTime()
    {
        using var group = new BusyCgroup("group", 0);
        using var observer = Load();
        observer.Read();
        // Children that live shorter than any interval, sleeps, and a parent that works.
        Run($"echo $$ > {group.Root}/cgroup.procs; i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i+1)); done; for i in 1 2 3 4 5 6 7 8; do sleep 0.01; done; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
        var counted = Settled(observer, group.Id);
        var kernels = 1000 * ulong.Parse(File.ReadLines($"{group.Root}/cpu.stat").First().Split(' ')[1], CultureInfo.InvariantCulture);
        Require(kernels > 100_000_000, $"the kernel accounts {kernels} ns");
        // What the shell did before it joined is in one of the two only.
        Require(Math.Abs((double)counted.RunNs - kernels) < (kernels * 0.05) + 10e6, $"counted {counted.RunNs} ns, the kernel {kernels}");
        Require(counted.Wakeups >= 8 && counted.Switches >= counted.Wakeups, $"{counted}");
        return $"{counted.RunNs / 1e6:F0} ms, the kernel {kernels / 1e6:F0}; {counted.Switches} switches, {counted.Wakeups} sleeps";
    }

    public static string Faults()
    {
        const ulong Reads = 600;
        const ulong Writes = 2000;
        using var group = new BusyCgroup("group", 0);
        using var observer = Load();
        Require(observer.CountsFaults, "the kernel has no page-fault tracepoint");
        CgroupCounters Touch(ulong reads, ulong writes)
        {
            var before = Settled(observer, group.Id);
            using var worker = Workers.Again("touch", group.Root, $"{reads}", $"{writes}");
            worker.WaitForExit();
            Require(worker.ExitCode == 0, "the worker failed");
            var after = Settled(observer, group.Id);
            return new CgroupCounters { ReadFaults = after.ReadFaults - before.ReadFaults, WriteFaults = after.WriteFaults - before.WriteFaults };
        }

        // What starting a process costs is in both.
        var nothing = Touch(0, 0);
        var something = Touch(Reads, Writes);
        var (reads, writes) = (something.ReadFaults - nothing.ReadFaults, something.WriteFaults - nothing.WriteFaults);
        Require(Math.Abs((double)reads - Reads) < 0.2 * Reads && Math.Abs((double)writes - Writes) < 0.2 * Writes, $"of {Reads} pages read and {Writes} written {reads} and {writes} were counted");
        return $"{reads} of {Reads} pages read, {writes} of {Writes} written";
    }

    public static string Moves()
    {
        using var first = new BusyCgroup("first", 1);
        using var second = new BusyCgroup("second", 0);
        using var observer = Load();
        observer.Read();
        Thread.Sleep(500);
        foreach (var process in File.ReadAllLines($"{first.Root}/cgroup.procs"))
            File.WriteAllText($"{second.Root}/cgroup.procs", process);
        Thread.Sleep(500);
        var before = observer.Read().Cgroups.GetValueOrDefault(first.Id);
        Thread.Sleep(500);
        var snapshot = observer.Read();
        var (left, joined) = (snapshot.Cgroups.GetValueOrDefault(first.Id), snapshot.Cgroups.GetValueOrDefault(second.Id));
        File.WriteAllText($"{second.Root}/cgroup.kill", "1");
        Require(left.RunNs > 300_000_000 && left.RunNs == before.RunNs, $"the cgroup that was left has {before.RunNs}, then {left.RunNs} ns");
        Require(joined.RunNs > 600_000_000, $"the cgroup that was joined has {joined.RunNs} ns");
        return $"{left.RunNs / 1e6:F0} ms before, {joined.RunNs / 1e6:F0} ms after";
    }

    private static Observer Load() => Observer.Load(Observer.EmbeddedObject()!, new ObserverOptions());

    private static void Run(string script)
    {
        using var shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", script]))!;
        shell.WaitForExit();
        Require(shell.ExitCode == 0, $"the shell ended with {shell.ExitCode}");
    }

    /// <summary>Reads until the kernel has let go of the tasks that have ended: nothing more comes.</summary>
    private static CgroupCounters Settled(Observer observer, ulong group)
    {
        CgroupCounters last = default;
        for (var (still, i) = (0, 0); still < 10 && i < 300; i++)
        {
            Thread.Sleep(20);
            var now = observer.Read().Cgroups.GetValueOrDefault(group);
            still = now == last ? still + 1 : 0;
            last = now;
        }

        return last;
    }
}
