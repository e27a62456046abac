using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Agent;

// What the agent answers on /status and prints with --once. The first fields are those of NodeMemoryStatus, which the
// operator copies into the MemorySchedulingProfile.

/// <summary>The agent's report.</summary>
internal sealed record AgentStatus
{
    /// <summary>This node's name in the cluster; null outside of one.</summary>
    public required string? Name { get; init; }

    public required bool Ready { get; init; }
    public required SchedulingLevel Level { get; init; }
    public required string Reason { get; init; }
    public required string Message { get; init; }
    public required string Kernel { get; init; }
    public required string Scheduler { get; init; }
    public required TelemetrySource? TelemetrySource { get; init; }
    public required string TelemetryMessage { get; init; }

    /// <summary>What the machine's memory carries, where that is measured.</summary>
    public required TrafficStatus Traffic { get; init; }

    public required int MemoryOnlyNodes { get; init; }
    public required string Profile { get; init; }
    public required MemoryStrategy Strategy { get; init; }
    public required ObserverStatus Observer { get; init; }

    /// <summary>The duplex scheduler; null where the level rules it out.</summary>
    public required DuplexStatus? Duplex { get; init; }

    public required TopologySummary Topology { get; init; }
    public required IReadOnlyDictionary<int, int>? InterleaveWeights { get; init; }

    /// <summary>Where the weights come from: policy, firmware or measurement.</summary>
    public required string? InterleaveSource { get; init; }

    /// <summary>Settings, annotations and attributes that cannot be honoured, each with its name, a colon and why.</summary>
    public required IReadOnlyList<string> NotHonoured { get; init; }

    /// <summary>Everything that somebody may want to look at, what is not honoured first.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }
    public required IReadOnlyList<CgroupStatus> Cgroups { get; init; }
}

/// <summary>The eBPF observer.</summary>
internal sealed record ObserverStatus
{
    public required bool Loaded { get; init; }

    /// <summary>Loaded, or the constant reason why it is not.</summary>
    public required string Reason { get; init; }

    public required string Message { get; init; }

    /// <summary>The verifier's log when the kernel rejected the program.</summary>
    public string? Log { get; init; }

    public string? Hierarchy { get; init; }
    public int Cgroups { get; init; }
    public ulong Bursts { get; init; }

    /// <summary>Cgroups that went away while they were looked at.</summary>
    public ulong Vanished { get; init; }

    public ObserverLossStatus Losses { get; init; } = new(0, 0, 0, 0, 0);
}

/// <summary>What was not counted or not delivered.</summary>
internal sealed record ObserverLossStatus(ulong Cgroups, ulong Events, ulong Tasks, ulong Samples, ulong SkippedRuns)
{
    public ObserverLossStatus(ObserverSnapshot snapshot)
        : this(snapshot.Losses.Cgroups, snapshot.Losses.Events, snapshot.Losses.Tasks, snapshot.Unsampled, snapshot.SkippedRuns)
    {
    }
}

/// <summary>Measured traffic of the whole machine.</summary>
/// <param name="Source">Where the figures come from; null where nothing measures them.</param>
/// <param name="Message">What is counted, or why nothing is.</param>
/// <param name="Counts">Bytes since the agent started.</param>
internal sealed record TrafficStatus(TelemetrySource? Source, string Message, IReadOnlyList<TrafficCount> Counts);

/// <summary>The duplex scheduler.</summary>
internal sealed record DuplexStatus
{
    public required bool Loaded { get; init; }

    /// <summary>Loaded, or the constant reason why it is not.</summary>
    public required string Reason { get; init; }

    public required string Message { get; init; }

    /// <summary>The verifier's log when the kernel rejected the program.</summary>
    public string? Log { get; init; }

    /// <summary>Why the kernel took the scheduler out the last time; null if it never did.</summary>
    public string? LastExit { get; init; }

    /// <summary>The kernel's name for that, without details; null if it never did.</summary>
    public string? ExitReason { get; init; }

    /// <summary>Times it failed or could not be loaded, until it has run for ten minutes or an hour has passed without another.</summary>
    public required int Failures { get; init; }

    /// <summary>The earliest moment of the next attempt; null while none is due.</summary>
    public DateTimeOffset? NextAttempt { get; init; }

    /// <summary>The strategy in force.</summary>
    public required MemoryStrategy Strategy { get; init; }

    public required string StrategyReason { get; init; }

    /// <summary>The direction that the token bucket limits; null for none.</summary>
    public required string? Limited { get; init; }

    public required IReadOnlyList<DuplexClassStatus> Classes { get; init; }

    /// <summary>What the keeper says now.</summary>
    public static DuplexStatus Of(SchedulerKeeper keeper) => new()
    {
        Loaded = keeper.State.Loaded,
        Reason = keeper.State.Reason,
        Message = keeper.State.Message,
        Log = keeper.State.Log,
        LastExit = keeper.LastExit?.ToString(),
        ExitReason = keeper.LastExit?.Reason,
        Failures = keeper.Failures,
        NextAttempt = keeper.State.Failed ? keeper.NextAttempt : null,
        Strategy = keeper.Strategy,
        StrategyReason = keeper.StrategyReason,
        Limited = keeper.Parameters.Limited == DuplexParameters.NoClass ? null : $"{(DuplexClass)keeper.Parameters.Limited}",
        Classes = [.. keeper.Counters.Select(pair => new DuplexClassStatus
        {
            Class = $"{pair.Key}",
            Queued = pair.Value.Queued,
            Picked = pair.Value.Picked,
            Paired = pair.Value.Paired,
            Crossed = pair.Value.Crossed,
            Aged = pair.Value.Aged,
            Held = pair.Value.Held,
            Preemptions = pair.Value.Preemptions,
            Runs = pair.Value.Runs,
            RunSeconds = Math.Round(pair.Value.RunNs / 1e9, 6),
            WaitSeconds = Math.Round(pair.Value.WaitNs / 1e9, 6),
            LongestWaitSeconds = pair.Value.MaximumWaitNs / 1e9,
        })],
    };
}

/// <summary>One class of the scheduler; totals since it was loaded.</summary>
internal sealed record DuplexClassStatus
{
    public required string Class { get; init; }
    public required ulong Queued { get; init; }
    public required ulong Picked { get; init; }
    public required ulong Paired { get; init; }
    public required ulong Crossed { get; init; }
    public required ulong Aged { get; init; }
    public required ulong Held { get; init; }
    public required ulong Preemptions { get; init; }
    public required ulong Runs { get; init; }
    public required double RunSeconds { get; init; }
    public required double WaitSeconds { get; init; }
    public required double LongestWaitSeconds { get; init; }
}

/// <summary>The machine's memory in numbers.</summary>
internal sealed record TopologySummary(int NumaNodes, int MemoryOnlyNodes, int CxlNodes, int CxlDevices, int CxlRegions, long MemoryBytes, long CxlBytes);

/// <summary>One cgroup's activity; totals since the observer saw it first.</summary>
internal sealed record CgroupStatus
{
    public required string Path { get; init; }
    public required ulong Id { get; init; }
    public required MemoryIntent Intent { get; init; }
    public required bool Hinted { get; init; }
    public required int? ReadPercent { get; init; }
    public required double RunSeconds { get; init; }
    public required ulong Switches { get; init; }
    public required ulong Wakeups { get; init; }
    public required ulong Migrations { get; init; }
    public required ulong ReadFaults { get; init; }
    public required ulong WriteFaults { get; init; }
    public required ulong MemoryReads { get; init; }
    public required ulong MemoryWrites { get; init; }
    public required ulong Bursts { get; init; }

    /// <summary>What a cgroup did.</summary>
    public static CgroupStatus Of(CgroupActivity cgroup) => new()
    {
        Path = cgroup.Path,
        Id = cgroup.Id,
        Intent = cgroup.Intent,
        Hinted = cgroup.Hinted,
        ReadPercent = cgroup.ReadShare is { } share ? (int)Math.Round(share * 100) : null,
        RunSeconds = Math.Round(cgroup.Total.RunNs / 1e9, 6),
        Switches = cgroup.Total.Switches,
        Wakeups = cgroup.Total.Wakeups,
        Migrations = cgroup.Total.Migrations,
        ReadFaults = cgroup.Total.ReadFaults,
        WriteFaults = cgroup.Total.WriteFaults,
        MemoryReads = cgroup.Total.MemoryReads,
        MemoryWrites = cgroup.Total.MemoryWrites,
        Bursts = cgroup.Total.Bursts,
    };
}
