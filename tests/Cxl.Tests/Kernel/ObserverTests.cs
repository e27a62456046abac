using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Kernel;

/// <summary>The real program in the real kernel.</summary>
[Trait("Category", "Component")]
public sealed class ObserverTests
{
    /// <summary>Every process writes dozens of fresh pages, whatever the size of pages.</summary>
    private const int Processes = 50;

    private static readonly string Workload = $"i=0; while [ $i -lt {Processes} ]; do /bin/true; i=$((i+1)); done; for i in 1 2 3 4 5 6 7 8; do sleep 0.01; done";

    [Fact]
    public void A_workload_in_its_own_cgroup_moves_its_counters()
    {
        var hierarchy = Require();
        using var group = new TemporaryCgroup(hierarchy);
        using var observer = Load(new ObserverOptions { CgroupV1 = hierarchy.Version1 });
        var before = observer.Read().Cgroups.GetValueOrDefault(group.Id);
        Assert.Equal(default, before);

        group.Run(Workload);
        var snapshot = Settled(observer, group.Id);
        var after = snapshot.Cgroups[group.Id];
        Assert.True(after.RunNs > 1_000_000, $"{after}");
        // Eight sleeps are at least eight switches and eight wake-ups; so is every wait for a child.
        Assert.True(after.Switches >= 8, $"{after}");
        Assert.True(after.Wakeups >= 8, $"{after}");
        Assert.True(!observer.CountsFaults || after.WriteFaults >= 10 * Processes, $"{after}");
        Assert.Equal(0UL, snapshot.Losses.Cgroups);
        // Of the whole machine: the kernel refuses a look-up of a task that another program is looking up.
        var switches = snapshot.Cgroups.Values.Aggregate(0UL, static (sum, one) => sum + one.Switches);
        Assert.InRange(snapshot.Losses.Tasks, 0UL, 5UL + (switches / 1000));
        // Run time cannot exceed what all CPUs had.
        Assert.True(after.RunNs < 60_000_000_000UL * (ulong)Environment.ProcessorCount, $"{after}");
    }

    [Fact]
    public void Run_time_is_what_the_kernel_accounts_to_the_cgroup()
    {
        Require();
        // The unified hierarchy keeps an account of its own, whatever else is mounted.
        string[] places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        var place = places.FirstOrDefault(place => File.Exists($"{place}/cgroup.controllers"));
        Assert.SkipUnless(place is not null, "the unified cgroup hierarchy is not mounted");
        using var group = new TemporaryCgroup(CgroupHierarchy.Find(place, "/sys")!);
        using var observer = Load(new ObserverOptions());
        // Children that live shorter than any interval, and one that is still there.
        using var worker = group.Start("i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done; echo done >&2; exec sleep 60");
        worker.StandardError.ReadLine();
        // A busy kernel lets go of a task that has ended when it comes to it.
        var snapshot = Until(observer, Agrees);
        Assert.True(Agrees(snapshot), $"counted {snapshot.Cgroups[group.Id].RunNs} ns, the kernel {Kernels()}; lost {snapshot.Losses}");
        Assert.True(Agrees(Settled(observer, group.Id)));
        worker.Kill(entireProcessTree: true);
        worker.WaitForExit();

        // What the shell did before it joined is in one of the two only.
        bool Agrees(ObserverSnapshot snapshot) =>
            snapshot.Cgroups.TryGetValue(group.Id, out var counters) && counters.RunNs >= 0.95 * Kernels() && counters.RunNs <= (1.05 * Kernels()) + 5e6;

        ulong Kernels() => 1000 * ulong.Parse(File.ReadLines($"{group.Path}/cpu.stat").First().Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public void What_ran_before_the_observer_is_not_counted()
    {
        var hierarchy = Require();
        using var group = new TemporaryCgroup(hierarchy);
        using var worker = group.Start("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done >&2; sleep 60");
        worker.StandardError.ReadLine();
        using var observer = Load(new ObserverOptions { CgroupV1 = hierarchy.Version1 });
        var counted = observer.Read().Cgroups.GetValueOrDefault(group.Id);
        worker.Kill(entireProcessTree: true);
        worker.WaitForExit();
        Assert.True(counted.RunNs < 20_000_000, $"{counted}");
    }

    [Fact]
    public void Counters_never_go_backwards()
    {
        var hierarchy = Require();
        using var group = new TemporaryCgroup(hierarchy);
        using var observer = Load(new ObserverOptions { CgroupV1 = hierarchy.Version1 });
        using var worker = group.Start("while :; do /bin/true; done");
        var last = new Dictionary<ulong, CgroupCounters>();
        for (var i = 0; i < 200; i++)
        {
            foreach (var (id, now) in observer.Read().Cgroups)
            {
                Assert.Equal(now, CgroupCounters.Max(now, last.GetValueOrDefault(id)));
                last[id] = now;
            }
        }

        worker.Kill(entireProcessTree: true);
        worker.WaitForExit();
    }

    [Fact]
    public void Bursts_arrive_through_the_ring_buffer()
    {
        var hierarchy = Require();
        using var group = new TemporaryCgroup(hierarchy);
        var bursts = new List<Burst>();
        using var observer = Load(new ObserverOptions { CgroupV1 = hierarchy.Version1, BurstThreshold = 20, OnBurst = bursts.Add });
        Assert.SkipUnless(observer.CountsFaults, "the kernel has no page-fault tracepoint");
        group.Run(Workload);
        var snapshot = observer.Read();
        var mine = bursts.FindAll(burst => burst.CgroupId == group.Id);
        Assert.NotEmpty(mine);
        Assert.All(mine, burst => Assert.True(burst.Reads + burst.Writes >= 20, $"{burst}"));
        // Counted and delivered are the same, or the difference is reported. Other cgroups go on meanwhile: only this one is still.
        var counted = snapshot.Cgroups[group.Id].Bursts;
        Assert.InRange((ulong)mine.Count, counted - Math.Min(counted, snapshot.Losses.Events), counted);
    }

    [Fact]
    public void Perf_events_are_attributed_to_the_cgroup_that_ran()
    {
        var hierarchy = Require();
        using var group = new TemporaryCgroup(hierarchy);
        // Software events stand in for the hardware's: they exist everywhere and are read the same way.
        var faults = new PerfEvent(Type: 1, Config: 5, Period: 1);
        var clock = new PerfEvent(Type: 1, Config: 0, Period: 100_000);
        using var observer = Load(new ObserverOptions { CgroupV1 = hierarchy.Version1, PerfEvents = (clock, faults), Cpus = [.. Enumerable.Range(0, Environment.ProcessorCount)] });
        Assert.True(observer.UsesPerfEvents);
        group.Run(Workload);
        var snapshot = observer.Read();
        var counters = snapshot.Cgroups[group.Id];
        Assert.True(counters.MemoryReads > 1_000_000 && counters.MemoryReads % 100_000 == 0, $"{counters}");
        // Whatever the kernel throttled or skipped is in the losses.
        Assert.True(counters.MemoryWrites + snapshot.Unsampled >= 10 * Processes, $"{counters} {snapshot.Unsampled}");
    }

    [Fact]
    public void A_full_map_is_reported_not_hidden()
    {
        var hierarchy = Require();
        using var first = new TemporaryCgroup(hierarchy);
        using var second = new TemporaryCgroup(hierarchy);
        using var third = new TemporaryCgroup(hierarchy);
        using var observer = Load(new ObserverOptions { CgroupV1 = hierarchy.Version1, MaximumCgroups = 1 });
        foreach (var group in new[] { first, second, third })
            group.Run("sleep 0.01; sleep 0.01");
        Assert.True(Until(observer, snapshot => snapshot.Losses.Cgroups > 0).Losses.Cgroups > 0);
    }

    [Fact]
    public async Task A_forgotten_cgroup_leaves_the_map()
    {
        var hierarchy = Require();
        using var observer = Load(new ObserverOptions { CgroupV1 = hierarchy.Version1 });
        ulong id;
        using (var group = new TemporaryCgroup(hierarchy))
        {
            id = group.Id;
            group.Run("sleep 0.01");
        }

        Assert.Contains(id, Settled(observer, id).Cgroups.Keys);
        Assert.DoesNotContain(id, hierarchy.Scan().Keys);
        // Another cgroup must take the CPU before the account lets go of it.
        await Eventually.TrueAsync(() =>
        {
            observer.Forget(id);
            return !observer.Read().Cgroups.ContainsKey(id);
        });
    }

    [Fact]
    public void Garbage_is_refused_with_libbpfs_own_words()
    {
        Require();
        var error = Assert.Throws<BpfException>(() => BpfObject.Open("no ELF file"u8, "garbage"));
        Assert.Contains("libbpf", error.Log, StringComparison.Ordinal);
    }

    [Fact]
    public void A_program_that_the_kernel_rejects_is_reported_with_the_verifiers_word()
    {
        Require();
        // Every exit becomes an instruction that does not exist.
        var broken = Observer.EmbeddedObject()!;
        ReadOnlySpan<byte> exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
        for (var i = 0; i + 8 <= broken.Length; i += 8)
        {
            if (broken.AsSpan(i, 8).SequenceEqual(exit))
                broken[i] = 0xfe;
        }

        var load = ObserverLoader.Load(HostKernel.Read("/sys", "/proc"), TelemetrySource.Bpf, new ObserverOptions(), broken);
        Assert.Null(load.Observer);
        Assert.Equal("ProgramRejected", load.Reason);
        // The cause is a line of the verifier's, not libbpf's "load failed".
        var verifiers = load.Log!.Split("-- BEGIN PROG LOAD LOG --", 2)[1];
        Assert.Contains(load.Message.Split("): ", 2)[1], verifiers, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_perf_events_fall_back_to_the_estimator_and_say_so()
    {
        Require();
        var load = ObserverLoader.Load(HostKernel.Read("/sys", "/proc"), TelemetrySource.PerfEvents, new ObserverOptions { Cpus = [100_000] }, Observer.EmbeddedObject());
        using var observer = load.Observer;
        Assert.Equal(("Loaded", TelemetrySource.Bpf), (load.Reason, load.Source!.Value));
        Assert.Contains("CPU 100000", load.SourceMessage, StringComparison.Ordinal);
    }

    /// <summary>Reads until the kernel has let go of the tasks that have ended: nothing more comes.</summary>
    private static ObserverSnapshot Settled(Observer observer, ulong group)
    {
        CgroupCounters last = default;
        var still = 0;
        return Until(observer, snapshot =>
        {
            var now = snapshot.Cgroups.GetValueOrDefault(group);
            still = now != default && now == last ? still + 1 : 0;
            last = now;
            return still == 10;
        });
    }

    private static ObserverSnapshot Until(Observer observer, Predicate<ObserverSnapshot> holds)
    {
        for (var i = 0; ; i++)
        {
            var snapshot = observer.Read();
            if (holds(snapshot) || i == 3000)
                return snapshot;
            Thread.Sleep(20);
        }
    }

    private static Observer Load(ObserverOptions options) => Observer.Load(Observer.EmbeddedObject()!, options);

    private static CgroupHierarchy Require()
    {
        Assert.SkipUnless(Observer.EmbeddedObject() is not null, "the build had no clang: no eBPF object");
        var kernel = HostKernel.Read("/sys", "/proc");
        Assert.SkipUnless(kernel.HasBtf, "the kernel has no BTF");
        Assert.SkipUnless(kernel.MayLoadPrograms, "not root and without CAP_BPF and CAP_PERFMON");
        Assert.SkipUnless(kernel.Lockdown != "confidentiality", "the kernel is locked down");
        try
        {
            Assert.SkipUnless(BpfObject.LibraryVersion.Major == 1, "libbpf 1.x is not installed");
        }
        catch (DllNotFoundException)
        {
            Assert.Skip("libbpf.so.1 is not installed");
        }

        var hierarchy = CgroupHierarchy.Find(null, "/sys");
        Assert.SkipUnless(hierarchy is not null, "no cgroup hierarchy is mounted");
        return hierarchy;
    }
}
