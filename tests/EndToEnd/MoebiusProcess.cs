using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Moebius.EndToEnd;

/// <summary>The built program, run as a user would run it.</summary>
internal sealed partial class MoebiusProcess : IDisposable
{
    private readonly Process process;
    private readonly string[] arguments;
    private readonly Task<string> output;
    private readonly Task<string> error;

    private MoebiusProcess(Process process, string[] arguments)
    {
        this.process = process;
        this.arguments = arguments;
        output = process.StandardOutput.ReadToEndAsync();
        error = process.StandardError.ReadToEndAsync();
    }

    public static string Program => Path.Combine(AppContext.BaseDirectory, "moebius");

    public static string Repository { get; } = FindRepository();

    public static MoebiusProcess Start(params string[] arguments)
    {
        // A test run in the background has SIGINT ignored, and children inherit that; a user's shell does not.
        var start = new ProcessStartInfo("env") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Repository };
        start.ArgumentList.Add("--default-signal=INT");
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
            await process.WaitForExitAsync(cancel.Token);
            return (process.ExitCode, await output.WaitAsync(cancel.Token), await error.WaitAsync(cancel.Token));
        }
        catch (OperationCanceledException)
        {
            var state = process.HasExited ? $"has ended with code {process.ExitCode}, but something that it started still holds its output" : "still runs";
            throw new TimeoutException($"'moebius {string.Join(' ', arguments)}' {state} after {limit.TotalSeconds} s");
        }
    }

    public bool HasExited => process.HasExited;

    /// <summary>Ends it without a chance to do anything more.</summary>
    public void Kill()
    {
        process.Kill();
        process.WaitForExit();
    }

    public void Interrupt() => Signal(2);

    public void Signal(int signal) => Assert.Equal(0, Kill(process.Id, signal));

    public void Dispose()
    {
        if (!process.HasExited)
            process.Kill(entireProcessTree: true);
        process.Dispose();
    }

    public static void Kill(int process) => Assert.Equal(0, Kill(process, 9));

    private static string FindRepository()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Moebius.slnx")))
            directory = directory.Parent;
        return directory?.FullName ?? throw new InvalidOperationException("the tests run outside the repository");
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
