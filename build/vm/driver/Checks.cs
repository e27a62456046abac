using System.Diagnostics;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>Runs the checks, each on the real kernel. Assertions are on counters and states, never on speed.</summary>
internal static class Checks
{
    /// <summary>Within this time the kernel's own scheduler must be back, whatever happened.</summary>
    public static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);

    private const string State = "/sys/kernel/sched_ext/state";
    private static int _failed;

    /// <summary>What the kernel says of the sched_ext class.</summary>
    public static string SchedExt => File.ReadAllText(State).Trim();

    public static int Run(bool all, string faultyObject)
    {
        var faulty = File.ReadAllBytes(faultyObject);
        // The short list first; the rest takes twice as long again.
        Check("discovery", AgentChecks.Discovery);
        Check("load-attach-detach", SchedulerChecks.LoadAttachDetach);
        Check("one-writer-among-100-readers", () => SchedulerChecks.Starvation(DuplexClass.Read, DuplexClass.Write));
        Check("hints-change-behaviour", SchedulerChecks.Hints);
        Check("killed-agent-leaves-the-kernels-scheduler", FaultChecks.Killed);
        Check("error-leaves-the-kernels-scheduler", () => FaultChecks.Fault(faulty, 1, 1024));
        Check("agent-uses-the-scheduler", AgentChecks.Agent);
        if (all)
        {
            Check("one-reader-among-100-writers", () => SchedulerChecks.Starvation(DuplexClass.Write, DuplexClass.Read));
            Check("token-bucket-holds-the-heavier-direction", SchedulerChecks.Tokens);
            Check("token-bucket-holds-tasks-that-go-on", SchedulerChecks.TokensOfTasksThatGoOn);
            Check("latency-preempts-bulk", SchedulerChecks.Latency);
            Check("stall-leaves-the-kernels-scheduler", () => FaultChecks.Fault(faulty, 2, 1026));
            Check("bound-tasks-count-for-their-class", SchedulerChecks.Bound);
            Check("cpu-limits-keep-the-kernels-scheduler", FaultChecks.CpuLimits);
            Check("keeper-retries", () => FaultChecks.Keeper(faulty));
            Check("a-thousand-pods-leave-nothing-behind", AgentChecks.Pods);
            Check("agent-with-three-capabilities", AgentChecks.Capabilities);
            Check("other-scheduler-is-left-alone", AgentChecks.OtherScheduler);
            Counting();
        }

        return Done();
    }

    /// <summary>What holds on the oldest kernel, too: one without sched_ext.</summary>
    public static int RunObserver()
    {
        Check("agent-observes-and-says-why-not-more", ObserverChecks.Agent);
        Counting();
        return Done();
    }

    private static void Counting()
    {
        Check("run-time-is-what-the-kernel-accounts", ObserverChecks.RunTime);
        Check("page-faults-are-counted-by-direction", ObserverChecks.Faults);
        Check("a-moved-task-counts-where-it-is", ObserverChecks.Moves);
    }

    public static void Require(bool holds, string what)
    {
        if (!holds)
            throw new InvalidOperationException(what);
    }

    /// <summary>Waits until the kernel's own scheduler is back; gives the milliseconds that took.</summary>
    public static long Back()
    {
        var watch = Stopwatch.StartNew();
        while (SchedExt != "disabled" && watch.Elapsed < 10 * Soon)
            Thread.Sleep(5);
        Require(SchedExt == "disabled", $"the state is still {SchedExt}");
        return watch.ElapsedMilliseconds;
    }

    private static int Done()
    {
        Console.WriteLine($"DONE {_failed} failed");
        return _failed == 0 ? 0 : 1;
    }

    private static void Check(string name, Func<string> check)
    {
        var watch = Stopwatch.StartNew();
        try
        {
            var detail = check();
            Console.WriteLine($"PASS {name} ({watch.ElapsedMilliseconds} ms): {detail}");
        }
        catch (Exception error)
        {
            _failed++;
            Console.WriteLine($"FAIL {name} ({watch.ElapsedMilliseconds} ms): {error.GetType().Name}: {error.Message.ReplaceLineEndings(" ")}");
            if (error is BpfException { Log.Length: > 0 } bpf)
                Console.WriteLine(bpf.Log[Math.Max(0, bpf.Log.Length - 3000)..]);
        }
    }
}
