using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>The checks, each on the real kernel. Assertions are on counters and states, never on speed.</summary>
internal static class Checks
{
    private const string State = "/sys/kernel/sched_ext/state";
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);
    private static int failed;

    public static int Run(string faultyObject)
    {
        var faulty = File.ReadAllBytes(faultyObject);
        Check("discovery", Discovery);
        Check("load-attach-detach", LoadAttachDetach);
        Check("one-writer-among-100-readers", () => Starvation(DuplexClass.Read, DuplexClass.Write));
        Check("one-reader-among-100-writers", () => Starvation(DuplexClass.Write, DuplexClass.Read));
        Check("hints-change-behaviour", Hints);
        Check("token-bucket-holds-the-heavier-direction", Tokens);
        Check("latency-preempts-bulk", Latency);
        Check("killed-agent-leaves-the-kernels-scheduler", Killed);
        Check("error-leaves-the-kernels-scheduler", () => Fault(faulty, 1, 1024));
        Check("stall-leaves-the-kernels-scheduler", () => Fault(faulty, 2, 1026));
        Check("keeper-retries-and-forgets", () => Keeper(faulty));
        Check("agent-uses-the-scheduler", Agent);
        Check("other-scheduler-is-left-alone", OtherScheduler);
        Console.WriteLine($"DONE {failed} failed");
        return failed == 0 ? 0 : 1;
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
            failed++;
            Console.WriteLine($"FAIL {name} ({watch.ElapsedMilliseconds} ms): {error.GetType().Name}: {error.Message.ReplaceLineEndings(" ")}");
            if (error is BpfException { Log.Length: > 0 } bpf)
                Console.WriteLine(bpf.Log[Math.Max(0, bpf.Log.Length - 3000)..]);
        }
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
            throw new InvalidOperationException(what);
    }

    private static string Kernel => File.ReadAllText(State).Trim();

    private static string Discovery()
    {
        var topology = TopologyReader.Read("/sys");
        var node = topology.CxlNodes.Single();
        Require(node.MemoryBytes == 512L << 20 && node.Cpus.Count == 0, $"{node}");
        Require(topology.MemoryDevices.Count == 1 && topology.Regions.Single().Mode == "ram", "devices or regions are missing");
        Require(topology.Warnings.Count == 0, string.Join("; ", topology.Warnings));
        return $"node{node.Id}, {node.Performance}";
    }

    private static DuplexScheduler Load(MemoryStrategy strategy = MemoryStrategy.DuplexPair) =>
        DuplexScheduler.Load(DuplexScheduler.EmbeddedObject()!, false, Workers.Parameters(strategy), Workers.Lanes());

    private static string LoadAttachDetach()
    {
        Require(Kernel == "disabled", $"the state is {Kernel} before");
        using (Load())
        {
            Require(Kernel == "enabled", $"the state is {Kernel} with the scheduler");
            var name = HostKernel.Read("/sys", "/proc").SchedExtScheduler;
            Require(name?.StartsWith(DuplexScheduler.KernelName, StringComparison.Ordinal) == true, $"the kernel calls it {name}");
        }

        return $"disabled after {Back()} ms";
    }

    /// <summary>Waits until the kernel's own scheduler is back.</summary>
    private static long Back()
    {
        var watch = Stopwatch.StartNew();
        while (Kernel != "disabled" && watch.Elapsed < 10 * Soon)
            Thread.Sleep(5);
        Require(Kernel == "disabled", $"the state is still {Kernel}");
        return watch.ElapsedMilliseconds;
    }

    private static string Starvation(DuplexClass crowd, DuplexClass single)
    {
        const int Crowd = 100;
        // Loading takes seconds of emulated processor time, so the crowd starts to run afterwards.
        using var many = new BusyCgroup("many", Crowd, open: false);
        using var one = new BusyCgroup("one", 1, open: false);
        using var scheduler = Load();
        scheduler.SetHint(many.Id, crowd);
        scheduler.SetHint(one.Id, single);
        one.Open();
        many.Open();
        Thread.Sleep(3000);
        Require(scheduler.Exit is null, $"the scheduler has left: {scheduler.Exit}");
        var (ones, crowds) = (scheduler.Read(single), scheduler.Read(crowd));
        // The machine's own tasks are runnable now and then as well.
        var bound = DuplexPlanner.WaitBound(Workers.Parameters(MemoryStrategy.DuplexPair), Crowd + 1 + 20, Environment.ProcessorCount);
        Require(ones.Runs >= 10, $"the one ran {ones.Runs} times");
        Require(crowds.Runs >= Crowd, $"the crowd ran {crowds.Runs} times");
        Require(ones.MaximumWaitNs <= bound.TotalNanoseconds, $"the one waited {ones.MaximumWaitNs / 1e6:F1} ms, the bound is {bound.TotalMilliseconds} ms");
        Require(crowds.MaximumWaitNs <= bound.TotalNanoseconds, $"the crowd waited {crowds.MaximumWaitNs / 1e6:F1} ms, the bound is {bound.TotalMilliseconds} ms");
        return $"the one ran {ones.Runs} times and waited {ones.MaximumWaitNs / 1e6:F1} ms at most, the crowd {crowds.MaximumWaitNs / 1e6:F1} ms; bound {bound.TotalMilliseconds:F0} ms";
    }

    private static string Hints()
    {
        using var scheduler = Load();
        using var readers = new BusyCgroup("readers", 2);
        using var writers = new BusyCgroup("writers", 2);
        Thread.Sleep(1000);
        var (before, beforeWrites) = (scheduler.Read(DuplexClass.Read), scheduler.Read(DuplexClass.Write));
        Require(before.Runs == 0 && beforeWrites.Runs == 0, $"without hints there are {before} and {beforeWrites}");
        scheduler.SetHint(readers.Id, DuplexClass.Read);
        scheduler.SetHint(writers.Id, DuplexClass.Write);
        Thread.Sleep(2000);
        var (reads, writes) = (scheduler.Read(DuplexClass.Read), scheduler.Read(DuplexClass.Write));
        Require(reads.Paired > 50 && writes.Paired > 50, $"paired {reads.Paired} and {writes.Paired} times");
        Require(reads.Paired + writes.Paired > 2 * (reads.Crossed + writes.Crossed), $"paired {reads.Paired} and {writes.Paired}, crossed {reads.Crossed} and {writes.Crossed} times");
        scheduler.RemoveHint(readers.Id);
        scheduler.RemoveHint(writers.Id);
        Thread.Sleep(500);
        var after = scheduler.Read(DuplexClass.Read);
        Thread.Sleep(1000);
        Require(scheduler.Read(DuplexClass.Read).Picked == after.Picked, "readers are still picked without their hint");
        Require(scheduler.Exit is null, $"the scheduler has left: {scheduler.Exit}");
        return $"paired {reads.Paired} and {writes.Paired} times, crossed {reads.Crossed} and {writes.Crossed}";
    }

    private static string Tokens()
    {
        using var scheduler = Load();
        using var readers = new BusyCgroup("readers", 3);
        using var writers = new BusyCgroup("writers", 1);
        scheduler.SetHint(readers.Id, DuplexClass.Read);
        scheduler.SetHint(writers.Id, DuplexClass.Write);
        var free = Share(2000);
        // As if writers had used a quarter of a CPU: readers get the floor of a quarter of the machine.
        var parameters = Workers.Parameters(MemoryStrategy.DuplexToken, new DirectionLoad(1.5, 0.25));
        Require(parameters.Limited == (uint)DuplexClass.Read, "readers are not limited");
        scheduler.SetParameters(parameters);
        Thread.Sleep(200);
        var limited = Share(2000);
        Require(limited.Held > 0, "no CPU passed readers over");
        Require(limited.Share < free.Share, $"readers had {free.Share:P0} without and {limited.Share:P0} with the limit");
        scheduler.SetParameters(Workers.Parameters(MemoryStrategy.DuplexPair));
        Thread.Sleep(200);
        Require(Share(1000).Held == 0, "readers are still held without a limit");
        Require(scheduler.Exit is null, $"the scheduler has left: {scheduler.Exit}");
        return $"readers' share of the run time {free.Share:P0} -> {limited.Share:P0}, held {limited.Held} times";

        (double Share, ulong Held) Share(int milliseconds)
        {
            var (reads, writes) = (scheduler.Read(DuplexClass.Read), scheduler.Read(DuplexClass.Write));
            Thread.Sleep(milliseconds);
            var (readsNow, writesNow) = (scheduler.Read(DuplexClass.Read), scheduler.Read(DuplexClass.Write));
            var read = (double)(readsNow.RunNs - reads.RunNs);
            return (read / (read + (writesNow.RunNs - writes.RunNs)), readsNow.Held - reads.Held);
        }
    }

    private static string Latency()
    {
        using var scheduler = Load(MemoryStrategy.LatencyGuard);
        using var bulk = new BusyCgroup("bulk", 4);
        using var quick = new BusyCgroup("quick", 0);
        quick.Add(Workers.Again("wake", quick.Root));
        scheduler.SetHint(bulk.Id, DuplexClass.Read);
        scheduler.SetHint(quick.Id, DuplexClass.Latency);
        Thread.Sleep(2500);
        var (latency, reads) = (scheduler.Read(DuplexClass.Latency), scheduler.Read(DuplexClass.Read));
        Require(latency.Runs > 50, $"the latency task ran {latency.Runs} times");
        Require(latency.Preemptions > 0, "it never took a CPU");
        Require(latency.WaitNs / Math.Max(latency.Picked, 1) < reads.WaitNs / Math.Max(reads.Picked, 1), $"it waited as long as bulk work: {latency} {reads}");
        Require(scheduler.Exit is null, $"the scheduler has left: {scheduler.Exit}");
        return $"ran {latency.Runs} times, preempted {latency.Preemptions} times, mean wait {latency.WaitNs / 1e6 / Math.Max(latency.Picked, 1):F2} ms against {reads.WaitNs / 1e6 / Math.Max(reads.Picked, 1):F2} ms";
    }

    private static string Killed()
    {
        using var requests = new RequestLoop();
        using var busy = new BusyCgroup("busy", 4);
        var holder = Workers.Again("hold");
        Require(holder.StandardOutput.ReadLine() == "loaded", "the other process did not load the scheduler");
        Require(Kernel == "enabled", $"the state is {Kernel}");
        Thread.Sleep(300);
        new[] { holder }.Kill();
        var back = Back();
        Require(back <= Soon.TotalMilliseconds, $"the kernel's scheduler was back after {back} ms");
        return $"back after {back} ms; {Undisturbed(requests)}";
    }

    private static string Fault(byte[] faulty, uint fault, ulong kind)
    {
        using var requests = new RequestLoop();
        using var scheduler = DuplexScheduler.Load(faulty, false, Workers.Parameters(MemoryStrategy.DuplexPair), Workers.Lanes());
        using var busy = new BusyCgroup("busy", 4);
        Thread.Sleep(300);
        Require(scheduler.Exit is null, $"the scheduler has left before the fault: {scheduler.Exit}");
        scheduler.Inject(fault);
        var back = Back();
        Require(back <= Soon.TotalMilliseconds, $"the kernel's scheduler was back after {back} ms");
        Require(scheduler.Exit?.Kind == kind, $"the kernel gives the reason {scheduler.Exit?.Kind} {scheduler.Exit}");
        return $"back after {back} ms: {scheduler.Exit}; {Undisturbed(requests)}";
    }

    private static string Undisturbed(RequestLoop requests)
    {
        var before = requests.Answered;
        Thread.Sleep(300);
        Require(requests.Answered > before, "no request was answered afterwards");
        Require(requests.Failed == 0, $"{requests.Failed} requests failed");
        return $"{requests.Answered} requests, 0 failed";
    }

    private static string Keeper(byte[] faulty)
    {
        var none = new Dictionary<ulong, MemoryIntent>();
        using var keeper = new SchedulerKeeper(faulty, new NodeAgentConfig { Profile = "p", Policy = { Strategy = MemoryStrategy.DuplexPair } }, [[0, 1]], false, "/sys", "/proc", false, TimeProvider.System);
        Require(keeper.State.Loaded, keeper.State.Message);
        for (var round = 0; round < 10; round++)
        {
            keeper.Tick(Enumerable.Range(0, 100).ToDictionary(i => (ulong)(1_000_000 + round * 100 + i), i => (MemoryIntent)(1 + i % 4)), 0);
            Require(keeper.HintsInKernel.Count == 100, $"{keeper.HintsInKernel.Count} hints in the kernel, expected 100");
        }

        keeper.Tick(none, 0);
        Require(keeper.HintsInKernel.Count == 0, $"{keeper.HintsInKernel.Count} hints are left");
        using var busy = new BusyCgroup("busy", 2);
        keeper.Inject(1);
        Back();
        keeper.Tick(none, 0);
        Require(!keeper.State.Loaded && keeper.State.Reason == "SchedulerExited" && keeper.LastExit is not null, $"{keeper.State}");
        var said = keeper.State.Message;
        for (var i = 0; i < 100 && !keeper.State.Loaded; i++)
        {
            Thread.Sleep(100);
            keeper.Tick(none, 0);
        }

        Require(keeper.State.Loaded && Kernel == "enabled", $"{keeper.State}");
        Require(keeper.Failures == 1, $"{keeper.Failures} failures");
        return said;
    }

    private static NodeAgent StartAgent() => new(
        new AgentOptions { Config = new NodeAgentConfig { Profile = "p" }, Cgroups = Workers.CgroupRoot }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);

    private static string Agent()
    {
        string message;
        using (var agent = StartAgent())
        {
            agent.Tick();
            Thread.Sleep(500);
            agent.Tick();
            var status = agent.Status;
            Require(status.Level == SchedulingLevel.SchedExt, $"the level is {status.Level}: {status.Reason}: {status.Message}");
            Require(Kernel == "enabled" && status.Duplex?.Loaded == true, $"the state is {Kernel}");
            Require(status.Observer.Loaded, $"{status.Observer.Reason}: {status.Observer.Message}");
            message = $"{status.Level}, {status.Duplex!.Strategy}: {status.Duplex.StrategyReason}; {status.Scheduler}";
        }

        Back();
        return message;
    }

    private static string OtherScheduler()
    {
        using var other = Load();
        using var agent = StartAgent();
        agent.Tick();
        Require(agent.Status.Level != SchedulingLevel.SchedExt, $"the level is {agent.Status.Level}");
        Require(agent.Status.Message.Contains("is loaded already", StringComparison.Ordinal), agent.Status.Message);
        Require(Kernel == "enabled" && other.Exit is null, "the other scheduler was disturbed");
        return $"{agent.Status.Level}: {agent.Status.Message}";
    }
}
