using System.Diagnostics;
using Moebius.Crds;

namespace Moebius.Bench;

/// <summary>A process of <c>bin/moebius</c>, ended with this object.</summary>
internal sealed class ProductProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly List<string> _lines = [];

    private ProductProcess(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Add(line.Data);
        process.ErrorDataReceived += (_, line) => Add(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>The process's id.</summary>
    public int Id => _process.Id;

    public static ProductProcess Start(params string[] arguments) => Start(program => new ProcessStartInfo(program), arguments);

    /// <param name="limit">A control group that the process starts in.</param>
    /// <param name="arguments">Of <c>bin/moebius</c>.</param>
    public static ProductProcess Start(MemoryLimit? limit, params string[] arguments) =>
        limit is null ? Start(arguments) : Start(program => new ProcessStartInfo("/bin/sh", limit.Wrap(program)), arguments);

    /// <param name="launch">How a program is started; its arguments are added.</param>
    /// <param name="arguments">Of <c>bin/moebius</c>.</param>
    public static ProductProcess Start(Func<string, ProcessStartInfo> launch, params string[] arguments)
    {
        var program = Path.Combine(RepositoryFiles.Root, "bin", "moebius");
        if (!File.Exists(program))
            throw new UserInputException($"'{program}' does not exist: run make build");
        var start = launch(program);
        (start.RedirectStandardOutput, start.RedirectStandardError, start.RedirectStandardInput, start.WorkingDirectory) = (true, true, true, RepositoryFiles.Root);
        // Should this process be killed, the pipe closes and the other one stops too.
        start.Environment["MOEBIUS_STOP_ON_STDIN_CLOSE"] = "1";
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return new ProductProcess(Process.Start(start)!);
    }

    /// <summary>Memory of the process that is in RAM.</summary>
    public long ResidentBytes
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    /// <summary>The most memory that the process has had in RAM.</summary>
    public long PeakResidentBytes
    {
        get
        {
            _process.Refresh();
            return _process.PeakWorkingSet64;
        }
    }

    /// <summary>Waits until the process has logged a text.</summary>
    public async Task SaysAsync(string text)
    {
        for (var patience = Stopwatch.StartNew(); patience.Elapsed < TimeSpan.FromSeconds(60); await Task.Delay(20))
        {
            lock (_lines)
            {
                if (_lines.Exists(line => line.Contains(text, StringComparison.Ordinal)))
                    return;
            }

            if (_process.HasExited)
                break;
        }

        lock (_lines)
            throw new InvalidOperationException($"the process did not say '{text}'; it said: {string.Join(" / ", _lines)}");
    }

    /// <summary>Ends the process at once, as kill -9 does.</summary>
    public void Kill() => _process.Kill();

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private void Add(string? line)
    {
        if (line is null)
            return;
        lock (_lines)
            _lines.Add(line);
    }
}
