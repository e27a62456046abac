using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Agent;

/// <summary>Something that happened to a node, for people who look at it.</summary>
/// <param name="Warning">Whether somebody may want to act.</param>
/// <param name="Reason">A constant, CamelCase.</param>
/// <param name="Message">One sentence; no name of a task, a pod or a cgroup is in it.</param>
internal sealed record NodeEvent(bool Warning, string Reason, string Message);

/// <summary>What is worth telling between two reports. Pure.</summary>
internal static class EventPlanner
{
    /// <summary>The events between two reports; <paramref name="before"/> is null at the start.</summary>
    public static IEnumerable<NodeEvent> Between(AgentStatus? before, AgentStatus after)
    {
        if (before is null)
            yield return new NodeEvent(false, "LevelChosen", $"memory scheduling works at the level {after.Level}{Why(after)}");
        else if (before.Level != after.Level)
            yield return new NodeEvent(after.Level < before.Level, "LevelChanged", $"memory scheduling went from the level {before.Level} to {after.Level}{Why(after)}");

        if (before is null && !after.Observer.Loaded)
            yield return new NodeEvent(true, after.Observer.Reason, $"nothing is counted: {after.Observer.Message}");
        if (before is { Ready: true } or null && !after.Ready)
            yield return new NodeEvent(true, "LevelNotAccepted", $"the profile {after.Profile} does not accept the level {after.Level}{Why(after)}");

        // One for each setting: what is said of it may hold a number that changes all the time.
        foreach (var setting in after.NotHonoured.Where(one => before?.NotHonoured.Any(known => Setting(known) == Setting(one)) != true))
            yield return new NodeEvent(true, "SettingNotHonoured", setting);

        if (after.Duplex is not { } duplex)
            yield break;
        var (was, old) = (before?.Duplex?.Reason, before?.Duplex?.Failures ?? 0);
        if (duplex.Reason != was && duplex.Loaded)
            yield return new NodeEvent(false, "SchedulerLoaded", $"the duplex scheduler runs this machine; {SchedulerState.LoadedCost}");
        else if (duplex.Reason != was && was == "Loaded" && duplex.Reason == SchedulerState.StandingBy.Reason)
            yield return new NodeEvent(false, "SchedulerReleased", "the kernel's own scheduler runs this machine: there is nobody to pair or to put first");
        else if (duplex.Reason != was && duplex.Reason == SchedulerState.CpuLimits)
            yield return new NodeEvent(false, duplex.Reason, "the kernel's own scheduler runs this machine: cgroups have CPU limits, which do not hold under the duplex scheduler; see policy.cpuLimits");
        // A failure after a long run is the first again: the count may be what it was.
        var failed = duplex.Failures > old || (duplex.Failures > 0 && duplex.NextAttempt > (before?.Duplex?.NextAttempt ?? DateTimeOffset.MinValue));
        var isTaken = duplex.Reason == LevelPlanner.OtherScheduler;
        if (failed && duplex.ExitReason is { } reason && duplex.Reason == "SchedulerExited")
            yield return new NodeEvent(true, "SchedulerExited", $"the kernel took the duplex scheduler out: {reason}");
        else if (isTaken ? was != duplex.Reason : failed)
            yield return new NodeEvent(true, duplex.Reason, $"the duplex scheduler is not loaded: {duplex.Message}");
        // Whoever waits for another's scheduler to go has not failed.
        if (failed && !isTaken && duplex.Failures > 1)
            yield return new NodeEvent(true, "SchedulerBackOff", $"the duplex scheduler failed {duplex.Failures} times; the next attempt is at {duplex.NextAttempt:HH:mm:ss} UTC");
    }

    private static string Setting(string notHonoured) => notHonoured.Split(": ")[0];

    private static string Why(AgentStatus status) => status.Level == SchedulingLevel.SchedExt && status.Reason == $"{SchedulingLevel.SchedExt}" ? "" : $" ({status.Reason})";
}
