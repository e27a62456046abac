using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>A perf event, as perf_event_open takes it.</summary>
/// <param name="Type">perf_event_attr.type.</param>
/// <param name="Config">perf_event_attr.config.</param>
internal readonly record struct PerfEvent(uint Type, ulong Config)
{
    private const uint HardwareCache = 3;
    private const ulong LastLevel = 2;
    private const ulong MissResult = 1UL << 16;

    /// <summary>Loads that missed the last-level cache: reads from memory.</summary>
    public static PerfEvent MemoryReads { get; } = new(HardwareCache, LastLevel | (0UL << 8) | MissResult);

    /// <summary>Stores that missed the last-level cache: what comes back to memory as writes.</summary>
    public static PerfEvent MemoryWrites { get; } = new(HardwareCache, LastLevel | (1UL << 8) | MissResult);
}

/// <summary>
/// A read and a write event counting on every online CPU, handed to the observer's two arrays. Disposing closes them.
/// </summary>
internal sealed unsafe class PerfCounterPair : IDisposable
{
    private const nint PerfEventOpenX64 = 298;
    private const nint PerfEventOpenArm64 = 241;
    private const ulong FlagCloseOnExec = 8;

    private readonly List<(int Cpu, int Reads, int Writes)> descriptors = [];

    private PerfCounterPair()
    {
    }

    /// <summary>Opens both events on the CPUs.</summary>
    /// <exception cref="BpfException">The events do not exist on this machine (ENOENT, EOPNOTSUPP) or are not allowed.</exception>
    public static PerfCounterPair Open(PerfEvent reads, PerfEvent writes, IEnumerable<int> cpus)
    {
        var pair = new PerfCounterPair();
        try
        {
            foreach (var cpu in cpus)
            {
                var readDescriptor = Open(reads, cpu);
                pair.descriptors.Add((cpu, readDescriptor, -1));
                pair.descriptors[^1] = (cpu, readDescriptor, Open(writes, cpu));
            }

            return pair;
        }
        catch
        {
            pair.Dispose();
            throw;
        }
    }

    /// <summary>Puts the events into the observer's arrays.</summary>
    public void Fill(BpfMap reads, BpfMap writes)
    {
        foreach (var (cpu, read, write) in descriptors)
        {
            reads.Write((uint)cpu, (uint)read);
            writes.Write((uint)cpu, (uint)write);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, read, write) in descriptors)
        {
            _ = LibC.close(read);
            if (write >= 0)
                _ = LibC.close(write);
        }

        descriptors.Clear();
    }

    private static int Open(PerfEvent perfEvent, int cpu)
    {
        // perf_event_attr, first published size: counts on the CPU whatever runs there.
        PerfEventAttributes attributes = default;
        attributes.Type = perfEvent.Type;
        attributes.Size = (uint)sizeof(PerfEventAttributes);
        attributes.Config = perfEvent.Config;
        var number = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? PerfEventOpenArm64 : PerfEventOpenX64;
        var descriptor = LibC.syscall(number, &attributes, -1, cpu, -1, (nint)FlagCloseOnExec, 0);
        return descriptor >= 0
            ? (int)descriptor
            : throw new BpfException($"opening the perf event {perfEvent.Type}:{perfEvent.Config:x} on CPU {cpu}", Marshal.GetLastPInvokeError());
    }

    [StructLayout(LayoutKind.Sequential, Size = 64)]
    private struct PerfEventAttributes
    {
        public uint Type;
        public uint Size;
        public ulong Config;
    }
}
