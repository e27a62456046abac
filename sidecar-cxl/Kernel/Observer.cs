using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>How the observer is loaded.</summary>
internal sealed record ObserverOptions
{
    /// <summary>Reads plus writes in one stint that count as a burst where traffic is estimated: pages of 4 KiB.</summary>
    internal const ulong BurstPages = 4096;

    /// <summary>The same where it is measured: lines of memory.</summary>
    internal const ulong BurstLines = 1 << 20;

    /// <summary>Most cgroups counted at once; 72 bytes each per CPU.</summary>
    public uint MaximumCgroups { get; init; } = 4096;

    /// <summary>Cgroup ids come from the v1 cpu hierarchy.</summary>
    public bool CgroupV1 { get; init; }

    /// <summary>Reads plus writes in one stint on a CPU that count as a burst; 0 for none; null for what suits the source.</summary>
    public ulong? BurstThreshold { get; init; }

    /// <summary>The pair of perf events to attribute; null for page faults alone.</summary>
    public (PerfEvent Reads, PerfEvent Writes)? PerfEvents { get; init; }

    /// <summary>CPUs to open perf events on.</summary>
    public IReadOnlyList<int> Cpus { get; init; } = [];

    /// <summary>Called for every burst, from <see cref="Observer.Read"/>.</summary>
    public Action<Burst>? OnBurst { get; init; }
}

/// <summary>What the observer has counted up to a moment.</summary>
/// <param name="Cgroups">Counters by cgroup id.</param>
/// <param name="Losses">What was not counted.</param>
/// <param name="Unsampled">Perf events that the hardware counted and no sample stands for.</param>
/// <param name="SkippedRuns">Program runs that the kernel skipped because of recursion.</param>
internal sealed record ObserverSnapshot(IReadOnlyDictionary<ulong, CgroupCounters> Cgroups, ObserverLosses Losses, ulong Unsampled, ulong SkippedRuns);

/// <summary>
/// observe.bpf.c in the kernel: loaded, attached and read. Disposing detaches and unloads it; nothing stays behind. Not
/// for concurrent use.
/// </summary>
internal sealed class Observer : IDisposable
{
    private const string Walk = "walk";
    private const string ReadSample = "on_memory_reads";
    private const string WriteSample = "on_memory_writes";
    private static readonly string[] FaultPrograms = ["on_user_fault", "on_kernel_fault"];
    private static readonly string[] SamplePrograms = [ReadSample, WriteSample];

    private readonly BpfObject _program;
    private readonly List<BpfLink> _links = [];
    private readonly BpfMap _cgroups;
    private readonly BpfMap _accounts;
    private readonly BpfMap _lost;
    private readonly CgroupCounters[] _counterSlots;
    private readonly CpuAccount[] _accountSlots;
    private readonly ObserverLosses[] _lossSlots;
    private readonly Dictionary<ulong, CgroupCounters> _published = [];
    private readonly Dictionary<ulong, CgroupCounters> _sums = [];
    private BpfRingBuffer? _bursts;
    private BpfLink? _walk;
    private PerfCounterPair? _perf;

    private Observer(BpfObject program, ObserverOptions options)
    {
        _program = program;
        _cgroups = program.Map("cgroups");
        _accounts = program.Map("accounts");
        _lost = program.Map("lost");
        _counterSlots = new CgroupCounters[BpfMap.PossibleCpus];
        _accountSlots = new CpuAccount[BpfMap.PossibleCpus];
        _lossSlots = new ObserverLosses[BpfMap.PossibleCpus];
        _bursts = new BpfRingBuffer(program.Map("bursts"), record =>
        {
            if (record.Length >= Marshal.SizeOf<Burst>())
                options.OnBurst?.Invoke(MemoryMarshal.Read<Burst>(record));
        });
    }

    /// <summary>True when the read-write directions of memory come from perf events.</summary>
    public bool UsesPerfEvents => _perf is not null;

    /// <summary>False when the kernel has no page-fault tracepoint: faults then stay 0.</summary>
    public bool CountsFaults { get; private set; } = true;

    /// <summary>Cgroups in the map in the kernel.</summary>
    public int InKernel => _cgroups.Keys<ulong>().Count;

    /// <summary>The compiled program; null when the build had no clang.</summary>
    public static byte[]? EmbeddedObject() => BpfObject.Embedded("observe");

    /// <summary>Loads and attaches the observer.</summary>
    /// <exception cref="BpfException">The kernel refused; carries the verifier's log.</exception>
    /// <exception cref="DllNotFoundException">libbpf.so.1 is not installed.</exception>
    public static Observer Load(byte[] objectBytes, ObserverOptions options)
    {
        try
        {
            return Load(objectBytes, options, withFaults: true);
        }
        catch (BpfException error) when (error.Log.Contains("page_fault_", StringComparison.Ordinal))
        {
            // The tracepoint came late to some architectures; everything else works without it.
            return Load(objectBytes, options, withFaults: false);
        }
    }

    /// <summary>
    /// Walks all tasks, reads all counters, hands over pending bursts, and never lets a counter go backwards. A task that
    /// has ended is counted when the kernel has let go of it, a few milliseconds after its parent has learned of it.
    /// </summary>
    public ObserverSnapshot Read()
    {
        // What a reading that broke off left would count twice.
        _sums.Clear();
        _walk!.Iterate();
        _bursts!.Drain();
        foreach (var id in _cgroups.Keys<ulong>())
        {
            if (!_cgroups.TryReadPerCpu(id, _counterSlots.AsSpan()))
                continue;
            CgroupCounters sum = default;
            foreach (ref readonly var slot in _counterSlots.AsSpan())
                sum.Add(slot);
            Merge(_sums, id, sum);
        }

        // The accounts come second: a flush in between is missing from this snapshot rather than counted twice.
        _accounts.TryReadPerCpu(0u, _accountSlots.AsSpan());
        foreach (ref readonly var account in _accountSlots.AsSpan())
        {
            if (account.Pending is var pending && pending != default)
                Merge(_sums, account.Owner, pending);
        }

        foreach (var (id, sum) in _sums)
            _published[id] = CgroupCounters.Max(_published.GetValueOrDefault(id), sum);
        _sums.Clear();
        var skipped = _links.Aggregate(0UL, (total, link) => total + _program.RecursionMisses(link.Program));
        var unsampled = _perf?.Unsampled(ReadLossSlots) ?? 0;
        return new ObserverSnapshot(new Dictionary<ulong, CgroupCounters>(_published), ReadLosses(), unsampled, skipped);
    }

    /// <summary>Drops the counters of a cgroup that is gone.</summary>
    public void Forget(ulong cgroupId)
    {
        _published.Remove(cgroupId);
        _cgroups.Remove(cgroupId);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var link in _links)
            link.Dispose();
        _links.Clear();
        _walk = null;
        _bursts?.Dispose();
        _bursts = null;
        _program.Dispose();
        _perf?.Dispose();
        _perf = null;
    }

    private static void Merge(Dictionary<ulong, CgroupCounters> target, ulong id, in CgroupCounters counters)
    {
        var sum = target.GetValueOrDefault(id);
        sum.Add(counters);
        target[id] = sum;
    }

    private ObserverLosses[] ReadLossSlots()
    {
        _lost.TryReadPerCpu(0u, _lossSlots.AsSpan());
        return _lossSlots;
    }

    private ObserverLosses ReadLosses()
    {
        ObserverLosses sum = default;
        foreach (var slot in ReadLossSlots())
        {
            sum.Cgroups += slot.Cgroups;
            sum.Events += slot.Events;
            sum.Tasks += slot.Tasks;
            sum.ReadSamples += slot.ReadSamples;
            sum.WriteSamples += slot.WriteSamples;
        }

        return sum;
    }

    private static Observer Load(byte[] objectBytes, ObserverOptions options, bool withFaults)
    {
        var program = BpfObject.Open(objectBytes, "observe");
        Observer? observer = null;
        PerfCounterPair? perf = null;
        try
        {
            program.SetMapCapacity("cgroups", options.MaximumCgroups);
            program.SetConstants(".settings", new ObserverSettings
            {
                UseCgroupV1 = options.CgroupV1 ? 1u : 0,
                UsePerfEvents = options.PerfEvents is null ? 0u : 1,
                BurstThreshold = options.BurstThreshold ?? (options.PerfEvents is null ? ObserverOptions.BurstPages : ObserverOptions.BurstLines),
                ReadPeriod = options.PerfEvents?.Reads.Period ?? 0,
                WritePeriod = options.PerfEvents?.Writes.Period ?? 0,
            });
            string[] left = [.. withFaults ? [] : FaultPrograms, .. options.PerfEvents is null ? SamplePrograms : []];
            foreach (var name in left)
                program.SkipProgram(name);
            if (options.PerfEvents is var (reads, writes))
                perf = PerfCounterPair.Open(reads, writes, options.Cpus);
            program.Load();
            observer = new Observer(program, options) { CountsFaults = withFaults, _perf = perf };
            foreach (var name in program.ProgramNames.Except(left).Except(SamplePrograms))
                observer._links.Add(program.Attach(name));
            perf?.Start(program.Descriptor(ReadSample), program.Descriptor(WriteSample));
            observer._walk = observer._links.Find(link => link.Program == Walk)!;
            // From here on everything is counted.
            observer._walk.Iterate();
            return observer;
        }
        catch
        {
            if (observer is not null)
            {
                observer.Dispose();
            }
            else
            {
                perf?.Dispose();
                program.Dispose();
            }

            throw;
        }
    }
}
