using System.Diagnostics;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using static Moebius.Cxl.VirtualMachine.Checks;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>What the scheduler does with tasks, by its own counters.</summary>
internal static class SchedulerChecks
{
    public static DuplexScheduler Load(MemoryStrategy strategy = MemoryStrategy.DuplexPair) =>
        DuplexScheduler.Load(DuplexScheduler.EmbeddedObject()!, false, Workers.Parameters(strategy), Workers.Lanes());

    public static string LoadAttachDetach()
    {
        Require(SchedExt == "disabled", $"the state is {SchedExt} before");
        using (Load())
        {
            Require(SchedExt == "enabled", $"the state is {SchedExt} with the scheduler");
            var name = HostKernel.Read("/sys", "/proc").SchedExtScheduler;
            Require(name?.StartsWith(DuplexScheduler.KernelName, StringComparison.Ordinal) == true, $"the kernel calls it {name}");
        }

        return $"disabled after {Back()} ms";
    }

    public static string Starvation(DuplexClass crowd, DuplexClass single)
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
        var bound = DuplexPlanner.WaitBound(Workers.Parameters(MemoryStrategy.DuplexPair), Crowd + 1 + 20, Environment.ProcessorCount, TimeSpan.FromMilliseconds(4));
        Require(ones.Runs >= 10, $"the one ran {ones.Runs} times");
        Require(crowds.Runs >= Crowd, $"the crowd ran {crowds.Runs} times");
        Require(ones.MaximumWaitNs <= bound.TotalNanoseconds, $"the one waited {ones.MaximumWaitNs / 1e6:F1} ms, the bound is {bound.TotalMilliseconds} ms");
        Require(crowds.MaximumWaitNs <= bound.TotalNanoseconds, $"the crowd waited {crowds.MaximumWaitNs / 1e6:F1} ms, the bound is {bound.TotalMilliseconds} ms");
        return $"the one ran {ones.Runs} times and waited {ones.MaximumWaitNs / 1e6:F1} ms at most, the crowd {crowds.MaximumWaitNs / 1e6:F1} ms; bound {bound.TotalMilliseconds:F0} ms";
    }

    public static string Hints()
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

    public static string Tokens()
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
        double busy;
        using (var more = new BusyCgroup("more", 1))
        {
            scheduler.SetHint(more.Id, DuplexClass.Write);
            Thread.Sleep(200);
            busy = Share(2000).Busy;
            // Two writers for two CPUs: whatever readers may not have, writers take, and at once.
            Require(busy > 0.97, $"the CPUs worked {busy:P1} of the time while somebody could always run");
        }

        scheduler.SetParameters(Workers.Parameters(MemoryStrategy.DuplexPair));
        Thread.Sleep(200);
        Require(Share(1000).Held == 0, "readers are still held without a limit");
        Require(scheduler.Exit is null, $"the scheduler has left: {scheduler.Exit}");
        return $"readers' share of the run time {free.Share:P0} -> {limited.Share:P0}, held {limited.Held} times; with a second writer the CPUs worked {busy:P1} of the time";

        (double Share, double Busy, ulong Held) Share(int milliseconds) => Ran(scheduler, milliseconds);
    }

    /// <summary>The limit counts for tasks that go on and on as well, because nobody waits for their CPU.</summary>
    public static string TokensOfTasksThatGoOn()
    {
        using var scheduler = Load();
        using var readers = new BusyCgroup("readers", 1);
        using var writers = new BusyCgroup("writers", 1);
        scheduler.SetHint(readers.Id, DuplexClass.Read);
        scheduler.SetHint(writers.Id, DuplexClass.Write);
        Thread.Sleep(200);
        var free = Ran(scheduler, 1000);
        // Half a CPU of two for the reader, and the other CPU for the writer: a third of what is run.
        scheduler.SetParameters(Workers.Parameters(MemoryStrategy.DuplexToken, new DirectionLoad(1.5, 0.25)));
        Thread.Sleep(200);
        var limited = Ran(scheduler, 2000);
        // What is run shows while it is run, and not only when a task has left its CPU.
        Require(free is { Share: > 0.4 and < 0.6, Busy: > 0.9 }, $"without a limit the reader had {free.Share:P0} of what was run, {free.Busy:P0} of the machine");
        Require(limited.Share is > 0.27 and < 0.4, $"the reader had {limited.Share:P0} of what was run; its limit is a third");
        Require(scheduler.Exit is null, $"the scheduler has left: {scheduler.Exit}");
        return $"the reader's share of the run time {free.Share:P0} -> {limited.Share:P0}; its limit is 33%";
    }

    /// <summary>Tasks that may run on one CPU only wait in its queue, and count for their own class all the same.</summary>
    public static string Bound()
    {
        using var scheduler = Load();
        using var readers = new BusyCgroup("readers", 2);
        foreach (var task in File.ReadAllLines(Path.Combine(readers.Root, "cgroup.procs")))
            Process.Start(new ProcessStartInfo("/bin/taskset", ["-p", "1", task]) { RedirectStandardOutput = true })!.WaitForExit();
        scheduler.SetHint(readers.Id, DuplexClass.Read);
        Thread.Sleep(500);
        var before = scheduler.Read(DuplexClass.Read);
        Thread.Sleep(1000);
        var after = scheduler.Read(DuplexClass.Read);
        var (queued, picked) = (after.Queued - before.Queued, after.Picked - before.Picked);
        Require(queued > 20 && picked > 0.9 * queued, $"of readers {queued} were queued and {picked} picked");
        Require(scheduler.Exit is null, $"the scheduler has left: {scheduler.Exit}");
        return $"queued {queued} times, picked {picked} times";
    }

    /// <summary>Readers' share of what both directions ran, both together as a share of the machine, and how often readers were passed over.</summary>
    private static (double Share, double Busy, ulong Held) Ran(DuplexScheduler scheduler, int milliseconds)
    {
        var (reads, writes, watch) = (scheduler.Read(DuplexClass.Read), scheduler.Read(DuplexClass.Write), Stopwatch.StartNew());
        Thread.Sleep(milliseconds);
        var (readsNow, writesNow, window) = (scheduler.Read(DuplexClass.Read), scheduler.Read(DuplexClass.Write), watch.Elapsed.TotalNanoseconds);
        var read = (double)(readsNow.RunNs - reads.RunNs);
        var both = read + (writesNow.RunNs - writes.RunNs);
        return (read / both, both / (window * Environment.ProcessorCount), readsNow.Held - reads.Held);
    }

    public static string Latency()
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
}
