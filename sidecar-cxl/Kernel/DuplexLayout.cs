using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

// bpf/duplex.h, byte for byte.

/// <summary>The scheduler's classes, each with a queue.</summary>
internal enum DuplexClass : uint
{
    Read,
    Write,
    Balanced,
    Latency,
}

/// <summary>Constants of one load.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DuplexSettings
{
    public uint UseCgroupV1;
    public uint Padding;
}

/// <summary>What the scheduler goes by; changed at any time.</summary>
[StructLayout(LayoutKind.Sequential)]
internal record struct DuplexParameters
{
    /// <summary>No class is limited.</summary>
    public const uint NoClass = uint.MaxValue;

    /// <summary>Longest stint on a CPU.</summary>
    public ulong SliceNs;

    /// <summary>Shortest one: stints shorten as the queues grow.</summary>
    public ulong MinimumNs;

    /// <summary>Wait after which a task goes before its class.</summary>
    public ulong AgingNs;

    /// <summary>Run time that the limited class gets per millisecond, of all CPUs together.</summary>
    public ulong RefillNs;

    /// <summary>Most run time that it can save up.</summary>
    public ulong BurstNs;

    /// <summary>The limited class (a <see cref="DuplexClass"/>), or <see cref="NoClass"/>.</summary>
    public uint Limited;

    /// <summary>1: readers and writers run on lanes of their own.</summary>
    public uint Pair;

    /// <summary>1: a latency task that wakes up takes a CPU from bulk work.</summary>
    public uint Guard;

    public uint Padding;
}

/// <summary>What was done for a class. All but the maximum only grow.</summary>
[StructLayout(LayoutKind.Sequential)]
internal record struct DuplexCounters
{
    /// <summary>Times a task had to wait in its queue.</summary>
    public ulong Queued;

    /// <summary>Times one was taken from its queue.</summary>
    public ulong Picked;

    /// <summary>Of these, by a CPU whose lane is the class's own.</summary>
    public ulong Paired;

    /// <summary>Of these, by a CPU of the other direction's lane.</summary>
    public ulong Crossed;

    /// <summary>Of these, because it had waited for the aging limit.</summary>
    public ulong Aged;

    /// <summary>Times a CPU passed the class over for want of tokens.</summary>
    public ulong Held;

    /// <summary>Times a task of the class that woke up took a CPU from another.</summary>
    public ulong Preemptions;

    /// <summary>Stints on a CPU.</summary>
    public ulong Runs;

    /// <summary>Nanoseconds on a CPU.</summary>
    public ulong RunNs;

    /// <summary>Nanoseconds in the queue.</summary>
    public ulong WaitNs;

    /// <summary>The longest wait in the queue.</summary>
    public ulong MaximumWaitNs;

    /// <summary>Adds another CPU's record.</summary>
    public void Add(in DuplexCounters other)
    {
        Queued += other.Queued;
        Picked += other.Picked;
        Paired += other.Paired;
        Crossed += other.Crossed;
        Aged += other.Aged;
        Held += other.Held;
        Preemptions += other.Preemptions;
        Runs += other.Runs;
        RunNs += other.RunNs;
        WaitNs += other.WaitNs;
        MaximumWaitNs = Math.Max(MaximumWaitNs, other.MaximumWaitNs);
    }
}

/// <summary>Why the kernel took the scheduler out.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ExitRecord
{
    public ulong Kind;
    public long Code;
    public fixed byte Reason[64];
    public fixed byte Message[192];
}
