using System.Diagnostics;
using System.Runtime.InteropServices;
using Moebius.KubernetesEnvironment;

namespace Moebius.EndToEnd;

/// <summary>The built program, run as a user would run it.</summary>
internal sealed partial class MoebiusProcess : IDisposable
{
    private readonly Process _process;
    private readonly string[] _arguments;
    private readonly Task<string> _output;
    private readonly Task<string> _error;

    private MoebiusProcess(Process process, string[] arguments)
    {
        _process = process;
        _arguments = arguments;
        _output = process.StandardOutput.ReadToEndAsync();
        _error = process.StandardError.ReadToEndAsync();
    }

    public static string Program => Path.Combine(AppContext.BaseDirectory, "moebius");

    /// <summary>A port that nobody listens on, and that no outgoing connection or listener without a wish of its own is given.</summary>
    public static int FreePort() => LoopbackPorts.Take();

    public static MoebiusProcess Start(params string[] arguments) => Start(new Dictionary<string, string>(), arguments);

    /// <summary>Starts it with variables beside those of this process.</summary>
    public static MoebiusProcess Start(IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        // Scripts and build tools have more open than the standard streams: what stays behind must not hold any of it.
        // A test run in the background has SIGINT ignored, and children inherit that; a user's shell does not.
        var start = new ProcessStartInfo("sh") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = RepositoryFiles.Root };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("exec 9>&1; exec env --default-signal=INT \"$0\" \"$@\"");
        start.ArgumentList.Add(Program);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return new MoebiusProcess(Process.Start(start)!, arguments);
    }

    public static async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        using var run = Start(arguments);
        return await run.EndAsync(TimeSpan.FromMinutes(4));
    }

    /// <summary>Waits for its end and for the end of its output, which whatever it left behind may hold open.</summary>
    public async Task<(int Code, string Output, string Error)> EndAsync(TimeSpan limit)
    {
        using var cancel = new CancellationTokenSource(limit);
        try
        {
            await _process.WaitForExitAsync(cancel.Token);
            return (_process.ExitCode, await _output.WaitAsync(cancel.Token), await _error.WaitAsync(cancel.Token));
        }
        catch (OperationCanceledException)
        {
            var state = _process.HasExited ? $"has ended with code {_process.ExitCode}, but something that it started still holds its output" : "still runs";
            throw new TimeoutException($"'moebius {string.Join(' ', _arguments)}' {state} after {limit.TotalSeconds} s");
        }
    }

    public bool HasExited => _process.HasExited;

    /// <summary>Waits until it answers that it is ready.</summary>
    /// <param name="http">With its address.</param>
    public async Task ReadyAsync(HttpClient http) => await Eventually.TrueAsync(async () =>
    {
        Assert.False(HasExited, "it has ended");
        try
        {
            return (await http.GetAsync(new Uri("readyz", UriKind.Relative))).IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    });

    /// <summary>What it has mapped, libraries among it.</summary>
    public string Maps() => File.ReadAllText($"/proc/{_process.Id}/maps");

    /// <summary>Ends it without a chance to do anything more.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Interrupt() => Signal(2);

    public void Signal(int signal) => Assert.Equal(0, Kill(_process.Id, signal));

    public void Dispose()
    {
        // Whoever comes next may want its port.
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    public static void Kill(int process) => Assert.Equal(0, Kill(process, 9));

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
