using System.Diagnostics;
using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>Starts, finds and stops the supervisor of an instance.</summary>
internal static class LocalInstance
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);

    /// <summary>The instance's status, or null when none runs.</summary>
    public static LocalStatus? Status(StateDirectory state) =>
        StateDirectory.Read<LocalStatus>(state.StatusFile) is { } status && Native.IsAlive(status.SupervisorPid) ? status : null;

    /// <summary>Writes the plan and starts its supervisor in the background.</summary>
    public static Process Start(StateDirectory state, LocalPlan plan, string name)
    {
        if (Status(state) is not null)
            throw new UserInputException($"instance '{name}' is already running: stop it with 'moebius local down', or choose another --name");
        state.Remove(); // what a killed supervisor left
        state.Create();
        state.Write(state.PlanFile, plan);
        var program = ProgramPath.Own();
        var start = new ProcessStartInfo(program.File);
        foreach (var argument in program.Prefix.Concat(["local", "supervise", "--name", name]))
            start.ArgumentList.Add(argument);
        return Process.Start(start) ?? throw new InvalidOperationException($"{program.File} did not start");
    }

    /// <summary>Stops an instance and waits until its processes and files are gone. False when there was nothing.</summary>
    public static async Task<bool> StopAsync(StateDirectory state, CancellationToken stop)
    {
        if (!state.Exists)
            return false;
        await StopAsync(state, Status(state)?.SupervisorPid ?? 0, stop).ConfigureAwait(false);
        return true;
    }

    /// <summary>The same for a supervisor that may not have said yet that it runs.</summary>
    public static async Task StopAsync(StateDirectory state, int supervisor, CancellationToken stop)
    {
        if (Native.IsAlive(supervisor))
            Native.Terminate(supervisor);
        while (Native.IsAlive(supervisor))
            await Task.Delay(Poll, stop).ConfigureAwait(false);
        state.Remove();
    }
}
