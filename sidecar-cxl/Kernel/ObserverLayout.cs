using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

// bpf/observe.h, byte for byte.

/// <summary>What a cgroup did, since the observer saw it first. All fields only grow.</summary>
[StructLayout(LayoutKind.Sequential)]
internal record struct CgroupCounters
{
    /// <summary>Nanoseconds on a CPU.</summary>
    public ulong RunNs;

    /// <summary>Times one of its tasks left a CPU.</summary>
    public ulong Switches;

    /// <summary>Times one of its tasks slept until it was woken.</summary>
    public ulong Wakeups;

    /// <summary>Times one of its tasks changed CPU.</summary>
    public ulong Migrations;

    /// <summary>Page faults on user memory for a read.</summary>
    public ulong ReadFaults;

    /// <summary>Page faults on user memory for a write.</summary>
    public ulong WriteFaults;

    /// <summary>Read-direction perf events, in whole sampling periods; 0 without perf events.</summary>
    public ulong MemoryReads;

    /// <summary>Write-direction perf events, in whole sampling periods; 0 without perf events.</summary>
    public ulong MemoryWrites;

    /// <summary>Times a stint's traffic reached the burst threshold.</summary>
    public ulong Bursts;

    /// <summary>Adds another record, field by field.</summary>
    public void Add(in CgroupCounters other)
    {
        RunNs += other.RunNs;
        Switches += other.Switches;
        Wakeups += other.Wakeups;
        Migrations += other.Migrations;
        ReadFaults += other.ReadFaults;
        WriteFaults += other.WriteFaults;
        MemoryReads += other.MemoryReads;
        MemoryWrites += other.MemoryWrites;
        Bursts += other.Bursts;
    }

    /// <summary>The larger value of each field.</summary>
    public static CgroupCounters Max(in CgroupCounters left, in CgroupCounters right) => new()
    {
        RunNs = Math.Max(left.RunNs, right.RunNs),
        Switches = Math.Max(left.Switches, right.Switches),
        Wakeups = Math.Max(left.Wakeups, right.Wakeups),
        Migrations = Math.Max(left.Migrations, right.Migrations),
        ReadFaults = Math.Max(left.ReadFaults, right.ReadFaults),
        WriteFaults = Math.Max(left.WriteFaults, right.WriteFaults),
        MemoryReads = Math.Max(left.MemoryReads, right.MemoryReads),
        MemoryWrites = Math.Max(left.MemoryWrites, right.MemoryWrites),
        Bursts = Math.Max(left.Bursts, right.Bursts),
    };
}

/// <summary>One CPU's faults since its last flush into the map of cgroups, and the stint that runs on it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CpuAccount
{
    public ulong Owner;
    public ulong ReadFaults;
    public ulong WriteFaults;
    public ulong Bursts;
    public ulong Task;
    public ulong Departures;
    public ulong Reads;
    public ulong Writes;
    public ulong ExecBase;

    /// <summary>What is not flushed yet.</summary>
    public readonly CgroupCounters Pending => new() { ReadFaults = ReadFaults, WriteFaults = WriteFaults, Bursts = Bursts };
}

/// <summary>What could not be counted or delivered.</summary>
[StructLayout(LayoutKind.Sequential)]
internal record struct ObserverLosses
{
    /// <summary>Updates dropped because the map of cgroups was full or busy.</summary>
    public ulong Cgroups;

    /// <summary>Burst events dropped because the ring buffer was full.</summary>
    public ulong Events;

    /// <summary>Times a task could not be looked up.</summary>
    public ulong Tasks;

    /// <summary>No loss: samples of reads that were taken.</summary>
    public ulong ReadSamples;

    /// <summary>No loss: samples of writes that were taken.</summary>
    public ulong WriteSamples;
}

/// <summary>A stint on a CPU with unusual memory traffic.</summary>
[StructLayout(LayoutKind.Sequential)]
internal record struct Burst
{
    public ulong CgroupId;
    public ulong Reads;
    public ulong Writes;
    public ulong RunNs;
    public uint Cpu;
    public uint ProcessId;
}

/// <summary>Constants of one load.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ObserverSettings
{
    public uint UseCgroupV1;
    public uint UsePerfEvents;
    public ulong BurstThreshold;
    public ulong ReadPeriod;
    public ulong WritePeriod;
}
