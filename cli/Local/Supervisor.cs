namespace Moebius.Cli.Local;

/// <summary>
/// Runs the processes of a plan until told to stop, and removes every trace of them afterwards. Within a pod
/// containers start in order, each after the one before has started, and stop in the reverse order.
/// </summary>
internal sealed class Supervisor(StateDirectory state, LocalPlan plan)
{
    private readonly Lock _gate = new();
    private readonly ProcessIdentity _identity = ProcessIdentity.Find(Environment.ProcessId)!.Value;
    private readonly List<ContainerProcess> _all = [];
    private ContainerProcess? _failed;
    private bool _final;

    public async Task<int> RunAsync(CancellationToken stop)
    {
        using var probes = new HttpClient { Timeout = TimeSpan.FromSeconds(2) };
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var pods = plan.Pods.Select(pod =>
        {
            LocalVolumes.Prepare(pod);
            var containers = pod.Containers.Select(container => new ContainerProcess(pod.Name, container, ProgramPath.Own(), state.Logs, probes, Publish)).ToList();
            _all.AddRange(containers);
            return (Pod: pod, Containers: containers);
        }).ToList();
        Publish();

        await Task.WhenAll(pods.Select(pod => RunPodAsync(pod.Pod, pod.Containers, ending))).ConfigureAwait(false);
        if (_failed is null)
        {
            state.Remove();
            return 0;
        }

        // The one who waits for us reads the failure, then removes the directory.
        _final = true;
        state.Write(state.StatusFile, Snapshot());
        return _failed.ExitCode;
    }

    private async Task RunPodAsync(LocalPod pod, List<ContainerProcess> containers, CancellationTokenSource ending)
    {
        var running = new List<Task>();
        foreach (var container in containers)
        {
            running.Add(Task.Factory.StartNew(() => Follow(container, ending), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap());
            try
            {
                await container.Started.ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }

        try
        {
            await Task.Delay(Timeout.Infinite, ending.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
        }

        foreach (var container in Enumerable.Reverse(containers))
            await container.StopAsync(pod.GracePeriod).ConfigureAwait(false);
        await Task.WhenAll(running).ConfigureAwait(false);
    }

    private async Task Follow(ContainerProcess container, CancellationTokenSource ending)
    {
        try
        {
            await container.RunAsync(ending.Token).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // Nobody waits for this before the end: what is not said now is never said, and the pod seems to start for ever.
            container.Fail(error);
        }

        if (container.State != ContainerState.Failed)
            return;
        _failed ??= container;
        await ending.CancelAsync().ConfigureAwait(false);
    }

    private void Publish()
    {
        lock (_gate)
        {
            if (!_final && Directory.Exists(state.Root))
                state.Write(state.StatusFile, Snapshot() with { Failure = null });
        }
    }

    private LocalStatus Snapshot() => new(
        _identity,
        _failed is null ? null : $"{_failed.Status.Pod}/{_failed.Status.Name}: {_failed.Message}",
        _failed?.ExitCode ?? 0,
        [.. _all.Select(container => container.Status)]);
}
