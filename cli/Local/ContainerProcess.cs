using System.Diagnostics;

namespace Moebius.Cli.Local;

/// <summary>One container as a process: starts it, follows its probes, restarts it with back-off, stops it.</summary>
internal sealed class ContainerProcess(string pod, LocalContainer container, ProgramPath program, string logDirectory, HttpClient probes, Action changed)
{
    private const int MostRestartsBeforeReady = 3;

    /// <summary>How long the last lines of a process that has ended may take to arrive.</summary>
    private static readonly TimeSpan LastLines = TimeSpan.FromSeconds(5);

    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile RunningProcess? _running;
    private bool _everReady;

    public ContainerState State { get; private set; } = ContainerState.Waiting;

    public string? Message { get; private set; }

    public int Restarts { get; private set; }

    public int ExitCode { get; private set; }

    /// <summary>Completes when the next container of the pod may start.</summary>
    public Task Started => _started.Task;

    public ContainerStatus Status => new(pod, container.Name, State, _running?.Id, Restarts, Message, container.Ports);

    /// <summary>Runs until told to stop, or until the container has failed for good.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using var registration = stop.Register(() => _started.TrySetCanceled(stop));
        while (!stop.IsCancellationRequested)
        {
            var (code, lastLine) = await RunOnceAsync(stop).ConfigureAwait(false);
            ExitCode = code;
            if (stop.IsCancellationRequested)
                break;
            if (container.RunsToCompletion && code == 0)
            {
                Change(ContainerState.Completed, null);
                _started.TrySetResult();
                return;
            }

            if (code == ExitCodes.BadInput || (!_everReady && Restarts >= MostRestartsBeforeReady))
            {
                Change(ContainerState.Failed, lastLine is null ? $"ended with code {code}" : WithoutProgramName(lastLine));
                _started.TrySetResult();
                return;
            }

            Restarts++;
            Change(ContainerState.Waiting, $"ended with code {code}; restarting");
            try
            {
                await Task.Delay(TimeSpan.FromSeconds(Math.Min(30, 1 << Math.Min(Restarts - 1, 5))), stop).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }

        Change(ContainerState.Stopped, null);
    }

    /// <summary>It cannot be run or followed any more.</summary>
    public void Fail(Exception error)
    {
        // Not announced here: that may be what has failed. The supervisor ends on it and writes its last words.
        (State, Message, ExitCode) = (ContainerState.Failed, error.Message, ExitCodes.Failed);
        _started.TrySetResult();
    }

    /// <summary>Asks the process to stop, and kills it when the grace period is over.</summary>
    public async Task StopAsync(TimeSpan grace)
    {
        Interlocked.MemoryBarrier();
        if (_running is not { } run)
            return;
        Native.Terminate(run.Id);
        try
        {
            await run.Ended.WaitAsync(grace).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            Native.Kill(run.Id);
        }
    }

    /// <summary>Starts the process and follows it to its end.</summary>
    private async Task<(int Code, string? LastLine)> RunOnceAsync(CancellationToken stop)
    {
        using var run = Start();
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _running = new RunningProcess(run.Id, ended.Task);
        // Told to stop in between, nobody saw what there is to stop; either they see it now, or this sees that they were there.
        Interlocked.MemoryBarrier();
        if (stop.IsCancellationRequested)
            Native.Kill(run.Id);
        Change(ContainerState.Starting, null);
        using var probing = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var probe = ProbeAsync(probing.Token);
        try
        {
            return await FollowAsync(run).ConfigureAwait(false);
        }
        finally
        {
            // What cannot be followed must not go on unseen.
            if (!run.HasExited)
                run.Kill();
            _running = null;
            ended.SetResult();
            await probing.CancelAsync().ConfigureAwait(false);
            await probe.ConfigureAwait(false);
        }
    }

    private Process Start()
    {
        var start = new ProcessStartInfo(program.File)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var argument in program.Prefix.Concat(container.Arguments))
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in container.Environment)
            start.Environment[name] = value;
        start.Environment[ParentWatch.Variable] = "1";
        return Process.Start(start) ?? throw new InvalidOperationException($"{program.File} did not start");
    }

    private async Task<(int Code, string? LastLine)> FollowAsync(Process run)
    {
        string? last = null;
        var log = new StreamWriter(Path.Combine(logDirectory, $"{pod}-{container.Name}.log"), append: true) { AutoFlush = true };
        await using (log.ConfigureAwait(false))
        {
            var gate = new Lock();
            var closed = false;
            void Line(string? text, bool isError)
            {
                if (text is null)
                    return;
                lock (gate)
                {
                    if (closed)
                        return;
                    log.WriteLine(text);
                    // The line that says what went wrong, not where in the code.
                    if (isError && text.Length > 0 && !text.StartsWith("   ", StringComparison.Ordinal) && !text.StartsWith("---", StringComparison.Ordinal))
                        last = text;
                }
            }

            var exited = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            run.Exited += (_, _) => exited.TrySetResult();
            run.EnableRaisingEvents = true;
            run.OutputDataReceived += (_, line) => Line(line.Data, false);
            run.ErrorDataReceived += (_, line) => Line(line.Data, true);
            run.BeginOutputReadLine();
            run.BeginErrorReadLine();
            // Stopping is the supervisor's business, in the pod's order: here the process is only waited for.
            await exited.Task.ConfigureAwait(false);
            try
            {
                // Waits for the end of its output too, which something that it started may hold open for ever.
                using var limit = new CancellationTokenSource(LastLines);
                await run.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                Line($"supervisor: {container.Name} has ended, but something that it started still holds its output; what that writes is not kept", false);
            }

            lock (gate)
                closed = true;
            return (run.ExitCode, last);
        }
    }

    private async Task ProbeAsync(CancellationToken stop)
    {
        try
        {
            if (container.Startup is { } startup)
                await UntilAsync(startup, stop).ConfigureAwait(false);
            if (!container.RunsToCompletion)
                _started.TrySetResult();
            if (container.Readiness is not { } readiness)
            {
                if (!container.RunsToCompletion)
                    Ready();
                return;
            }

            while (true)
            {
                await UntilAsync(readiness, stop).ConfigureAwait(false);
                Ready();
                while (await AnswersAsync(readiness, stop).ConfigureAwait(false))
                    await Task.Delay(TimeSpan.FromSeconds(2), stop).ConfigureAwait(false);
                Change(ContainerState.Starting, "not ready");
            }
        }
        catch (OperationCanceledException)
        {
            // The process ended or the pod stops: the loop in RunAsync says which.
        }
    }

    private static string WithoutProgramName(string line) =>
        line.StartsWith("moebius: ", StringComparison.Ordinal) ? line["moebius: ".Length..] : line;

    private void Ready()
    {
        _everReady = true;
        Change(ContainerState.Ready, null);
    }

    private async Task UntilAsync(Uri url, CancellationToken stop)
    {
        while (!await AnswersAsync(url, stop).ConfigureAwait(false))
            await Task.Delay(TimeSpan.FromMilliseconds(150), stop).ConfigureAwait(false);
    }

    private async Task<bool> AnswersAsync(Uri url, CancellationToken stop)
    {
        try
        {
            using var answer = await probes.GetAsync(url, stop).ConfigureAwait(false);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // The client's own limit.
            return false;
        }
    }

    private void Change(ContainerState state, string? message)
    {
        State = state;
        Message = message;
        changed();
    }
}

/// <summary>A process that has not been seen to end.</summary>
internal sealed record RunningProcess(int Id, Task Ended);

/// <summary>How this program starts itself again.</summary>
/// <param name="File">The executable.</param>
/// <param name="Prefix">Arguments that come first: the assembly, when a shared host runs it.</param>
internal sealed record ProgramPath(string File, IReadOnlyList<string> Prefix)
{
    public static ProgramPath Own()
    {
        var file = Environment.ProcessPath ?? throw new InvalidOperationException("the path of this program is not known");
        return Path.GetFileNameWithoutExtension(file) == "dotnet"
            ? new ProgramPath(file, [Path.Combine(AppContext.BaseDirectory, "moebius.dll")])
            : new ProgramPath(file, []);
    }
}
