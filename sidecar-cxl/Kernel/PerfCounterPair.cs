using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>A perf event, as perf_event_open takes it.</summary>
/// <param name="Type">perf_event_attr.type.</param>
/// <param name="Config">perf_event_attr.config.</param>
/// <param name="Period">Events for each sample.</param>
internal readonly record struct PerfEvent(uint Type, ulong Config, ulong Period)
{
    private const uint HardwareCache = 3;
    private const ulong LastLevel = 2;
    private const ulong MissResult = 1UL << 16;

    // About 1.3 MB of cache lines. At 10 million misses a second a CPU takes 500 samples; a prime does not fall in step
    // with a loop.
    private const ulong Misses = 20_011;

    /// <summary>Loads that missed the last-level cache: reads from memory.</summary>
    public static PerfEvent MemoryReads { get; } = new(HardwareCache, LastLevel | (0UL << 8) | MissResult, Misses);

    /// <summary>Stores that missed the last-level cache: what comes back to memory as writes.</summary>
    public static PerfEvent MemoryWrites { get; } = new(HardwareCache, LastLevel | (1UL << 8) | MissResult, Misses);
}

/// <summary>
/// A read and a write event on every online CPU, each running the observer's program once per period. Disposing closes
/// them.
/// </summary>
internal sealed unsafe class PerfCounterPair : IDisposable
{
    private const nuint EnableEvent = 0x2400;
    private const nuint SetProgram = 0x40042408;

    private readonly List<(int Cpu, int Descriptor, ulong Period)> _reads = [];
    private readonly List<(int Cpu, int Descriptor, ulong Period)> _writes = [];

    private PerfCounterPair()
    {
    }

    /// <summary>Opens both events on the CPUs; they do not count yet.</summary>
    /// <exception cref="BpfException">The events do not exist on this machine (ENOENT, EOPNOTSUPP) or are not allowed.</exception>
    public static PerfCounterPair Open(PerfEvent reads, PerfEvent writes, IEnumerable<int> cpus)
    {
        var pair = new PerfCounterPair();
        try
        {
            foreach (var cpu in cpus)
            {
                pair._reads.Add((cpu, Open(reads, cpu), reads.Period));
                pair._writes.Add((cpu, Open(writes, cpu), writes.Period));
            }

            return pair;
        }
        catch
        {
            pair.Dispose();
            throw;
        }
    }

    /// <summary>Gives the events their programs and lets them count.</summary>
    /// <exception cref="BpfException">The kernel refused.</exception>
    public void Start(int readProgram, int writeProgram)
    {
        foreach (var (descriptor, program) in _reads.Select(entry => (entry.Descriptor, readProgram)).Concat(_writes.Select(entry => (entry.Descriptor, writeProgram))))
        {
            if (LibC.ioctl(descriptor, SetProgram, program) < 0 || LibC.ioctl(descriptor, EnableEvent, 0) < 0)
                throw new BpfException("giving a perf event its program", Marshal.GetLastPInvokeError());
        }
    }

    /// <summary>
    /// Events that the hardware has counted and no sample stands for, over all CPUs: the kernel throttles what samples too
    /// often. <paramref name="taken"/> reads the samples taken by CPU, after the counters.
    /// </summary>
    /// <exception cref="BpfException">A counter could not be read: something else holds the hardware.</exception>
    public ulong Unsampled(Func<ObserverLosses[]> taken)
    {
        var (counted, written) = (_reads.ConvertAll(Count), _writes.ConvertAll(Count));
        var samples = taken();
        return Missing(_reads, counted, cpu => samples[cpu].ReadSamples) + Missing(_writes, written, cpu => samples[cpu].WriteSamples);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, descriptor, _) in _reads.Concat(_writes))
            _ = LibC.close(descriptor);
        _reads.Clear();
        _writes.Clear();
    }

    private static ulong Missing(List<(int Cpu, int Descriptor, ulong Period)> events, List<ulong> counted, Func<int, ulong> samples) =>
        events.Select((entry, i) => (Whole: counted[i] / entry.Period, Taken: samples(entry.Cpu), entry.Period))
            .Aggregate(0UL, (sum, entry) => sum + (entry.Whole > entry.Taken ? (entry.Whole - entry.Taken) * entry.Period : 0));

    private static ulong Count((int Cpu, int Descriptor, ulong Period) entry)
    {
        ulong value;
        var count = LibC.read(entry.Descriptor, &value, sizeof(ulong));
        // A pinned event that the hardware has no room for reads as the end of the file.
        return count == sizeof(ulong)
            ? value
            : throw new BpfException($"reading the perf event of CPU {entry.Cpu}", count < 0 ? Marshal.GetLastPInvokeError() : BpfException.EBUSY);
    }

    private static int Open(PerfEvent perfEvent, int cpu)
    {
        const ulong Disabled = 1;
        const ulong Pinned = 4;
        // Pinned: it counts all the time or not at all.
        return PerfDescriptor.Open(perfEvent, cpu, Disabled | Pinned);
    }
}
