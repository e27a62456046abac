using System.Diagnostics;
using Moebius.Crds;
using Spectre.Console;

namespace Moebius.Cli.Local;

/// <summary><c>moebius local up</c>: plan, start, wait, talk, and either stay or leave it running.</summary>
internal sealed class UpAction(
    IReadOnlyList<string> files,
    string name,
    HostPathMap hostPaths,
    string? chat,
    bool detach,
    TimeSpan timeout)
{
    private readonly StateDirectory _state = StateDirectory.Of(name);

    public async Task<int> RunAsync(bool dryRun, CancellationToken stop)
    {
        var manifests = PlannedManifests.Load(files);
        if (dryRun)
        {
            Console.Write(manifests.ToYaml());
            return 0;
        }

        LocalInstance.RequireFree(_state, name);
        var plan = new LocalPlanner(_state.Root, _state.Memory, LocalPorts.IsFree, hostPaths.Resolve).Plan(manifests.Objects);
        foreach (var note in manifests.Notes.Concat(plan.Notes))
            Console.WriteLine($"note: {note}");

        using var supervisor = LocalInstance.Start(_state, plan, name);
        // A child that nobody has waited for keeps its number.
        var identity = ProcessIdentity.Find(supervisor.Id);
        var keep = false;
        try
        {
            if (await WaitAsync(supervisor, plan, stop).ConfigureAwait(false) is { } failure)
                return await SayAsync(failure).ConfigureAwait(false);

            ShowEndpoints(plan);
            if (chat is not null && !await ChatAsync(plan, chat, stop).ConfigureAwait(false))
                return ExitCodes.Failed;
            if (detach)
            {
                // 'make down' stops the instance without a name of its own.
                Console.WriteLine($"Running in the background. Logs: {_state.Logs}. Stop it with {(name == LocalCommands.DefaultName ? "'make down' or " : "")}{LocalInstance.DownCommand(name)}.");
                keep = true;
                return 0;
            }

            Console.WriteLine("Running. Ctrl-C stops it.");
            await supervisor.WaitForExitAsync(stop).ConfigureAwait(false);
            return await SayAsync(End(supervisor)).ConfigureAwait(false);
        }
        finally
        {
            if (!keep)
                await LocalInstance.StopAsync(_state, identity, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Waits until every container is ready; a status when one has failed for good.</summary>
    private async Task<LocalStatus?> WaitAsync(Process supervisor, LocalPlan plan, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        var progress = new StartProgress(plan);
        LocalStatus? failure = null;
        await progress.RunAsync(async update =>
        {
            while (true)
            {
                stop.ThrowIfCancellationRequested();
                var status = StateDirectory.Read<LocalStatus>(_state.StatusFile);
                if (status is not null)
                    update(status);
                if (status?.Failure is not null)
                {
                    await supervisor.WaitForExitAsync(stop).ConfigureAwait(false);
                    failure = status;
                    return;
                }

                if (status?.Ready == true)
                    return;
                if (supervisor.HasExited)
                {
                    failure = End(supervisor);
                    return;
                }

                if (clock.Elapsed > timeout)
                {
                    var late = status?.Containers.Where(container => container.State is not (ContainerState.Ready or ContainerState.Completed)).Select(container => $"{container.Pod}/{container.Name}") ?? [];
                    failure = new LocalStatus(default, $"not ready after {timeout.TotalSeconds:0} s: {string.Join(", ", late)}; see {_state.Logs}, or raise --timeout", 1, []);
                    return;
                }

                await Task.Delay(100, stop).ConfigureAwait(false);
            }
        }).ConfigureAwait(false);
        return failure;
    }

    /// <summary>Why a supervisor has ended.</summary>
    private LocalStatus End(Process supervisor)
    {
        if (StateDirectory.Read<LocalStatus>(_state.StatusFile) is { Failure: not null } status)
            return status;
        return supervisor.ExitCode switch
        {
            0 => new LocalStatus(default, "stopped by 'moebius local down'", ExitCodes.Failed, []),
            // It has found what is wrong with what it was asked.
            ExitCodes.BadInput => new LocalStatus(default, LastLogLine().Replace(ErrorLine.Of(""), "", StringComparison.Ordinal), ExitCodes.BadInput, []),
            var code => new LocalStatus(default, $"the process that looks after the containers ended with code {code}: {LastLogLine()}", code, []),
        };
    }

    private static async Task<int> SayAsync(LocalStatus failure)
    {
        await Console.Error.WriteLineAsync(ErrorLine.Of(failure.Failure!)).ConfigureAwait(false);
        return failure.ExitCode == ExitCodes.BadInput ? ExitCodes.BadInput : ExitCodes.Failed;
    }

    private string LastLogLine()
    {
        var file = Path.Combine(_state.Logs, "supervisor.log");
        return File.Exists(file) ? File.ReadLines(file).LastOrDefault(line => line.Length > 0) ?? "" : "";
    }

    private static void ShowEndpoints(LocalPlan plan)
    {
        foreach (var pod in plan.Pods)
        {
            foreach (var container in pod.Containers)
            {
                foreach (var (port, number) in container.Ports)
                    AnsiConsole.MarkupLineInterpolated($"  [grey]{pod.Name}/{container.Name}[/] {port}: http://127.0.0.1:{number}");
            }
        }
    }

    private static Uri Loopback(int port) => new($"http://127.0.0.1:{port}");

    private static async Task<bool> ChatAsync(LocalPlan plan, string prompt, CancellationToken stop)
    {
        var server = plan.Pods.SelectMany(pod => pod.Containers).FirstOrDefault(container => container.Arguments is ["serve", ..])
            ?? throw new UserInputException("--chat: the manifests have no MoEDeployment to talk to");
        using var demonstration = new ChatDemonstration(Loopback(server.Ports["http"]), Loopback(server.Ports["engine-metrics"]));
        return await demonstration.RunAsync(prompt, stop).ConfigureAwait(false);
    }
}
