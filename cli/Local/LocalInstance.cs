using System.Diagnostics;
using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>Starts, finds and stops the supervisor of an instance.</summary>
internal static class LocalInstance
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);

    /// <summary>What a supervisor needs beyond its containers' time to stop.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(30);

    /// <summary>The instance's status, or null when none runs.</summary>
    public static LocalStatus? Status(StateDirectory state) =>
        StateDirectory.Read<LocalStatus>(state.StatusFile) is { } status && status.Supervisor.IsAlive ? status : null;

    /// <summary>What stops an instance, for people.</summary>
    public static string DownCommand(string name) => name == LocalCommands.DefaultName ? "'moebius local down'" : $"'moebius local down --name {name}'";

    /// <exception cref="UserInputException">An instance of this name runs or is being started.</exception>
    public static void RequireFree(StateDirectory state, string name)
    {
        if (Status(state) is not null)
            throw new UserInputException($"instance '{name}' is already running: stop it with {DownCommand(name)}, or choose another --name");
        if (StateDirectory.Read<Starter>(state.StarterFile) is { Process.IsAlive: true })
            throw new UserInputException($"instance '{name}' is being started by another 'moebius local up': wait for it, or choose another --name");
    }

    /// <summary>Writes the plan and starts its supervisor in the background.</summary>
    public static Process Start(StateDirectory state, LocalPlan plan, string name)
    {
        RequireFree(state, name);
        state.Remove(); // what a killed supervisor left
        state.Create();
        state.Write(state.StarterFile, new Starter(ProcessIdentity.Find(Environment.ProcessId)!.Value));
        state.Write(state.PlanFile, plan);
        var program = ProgramPath.Own();
        var start = new ProcessStartInfo(program.File);
        foreach (var argument in program.Prefix.Concat(["local", "supervise", "--name", name]))
            start.ArgumentList.Add(argument);
        Native.KeepDescriptors();
        return Process.Start(start) ?? throw new InvalidOperationException($"{program.File} did not start");
    }

    /// <summary>A 'moebius local up' that is under way.</summary>
    internal sealed record Starter(ProcessIdentity Process);

    /// <summary>Stops an instance and waits until its processes and files are gone. False when there was nothing.</summary>
    public static async Task<bool> StopAsync(StateDirectory state, CancellationToken stop)
    {
        // A supervisor that is being started reads its plan there, and says then what there is to stop.
        while (Status(state) is null && StateDirectory.Read<Starter>(state.StarterFile) is { Process.IsAlive: true })
            await Task.Delay(Poll, stop).ConfigureAwait(false);
        if (!state.Exists)
            return false;
        await StopAsync(state, Status(state)?.Supervisor, stop).ConfigureAwait(false);
        return true;
    }

    /// <summary>The same for a supervisor that may not have said yet that it runs; null: it has ended.</summary>
    public static Task StopAsync(StateDirectory state, ProcessIdentity? supervisor, CancellationToken stop)
    {
        // Pods stop at the same time, the containers of one after another.
        var pods = StateDirectory.Read<LocalPlan>(state.PlanFile)?.Pods ?? [];
        return StopAsync(state, supervisor, Margin + pods.Select(pod => pod.GracePeriod * pod.Containers.Count).DefaultIfEmpty().Max(), stop);
    }

    /// <summary>The same, with the time after which a supervisor that has not stopped is killed; its containers see that and end.</summary>
    public static async Task StopAsync(StateDirectory state, ProcessIdentity? supervisor, TimeSpan patience, CancellationToken stop)
    {
        if (supervisor is { IsAlive: true } running)
        {
            Native.Terminate(running.Id);
            var clock = Stopwatch.StartNew();
            var killed = false;
            while (running.IsAlive)
            {
                if (!killed && clock.Elapsed > patience)
                {
                    await Console.Error.WriteLineAsync($"moebius: the supervisor (process {running.Id}) did not stop within {patience.TotalSeconds:0.#} s and is killed").ConfigureAwait(false);
                    Native.Kill(running.Id);
                    killed = true;
                }

                await Task.Delay(Poll, stop).ConfigureAwait(false);
            }
        }

        state.Remove();
    }
}
