using System.Collections.Concurrent;
using System.Diagnostics;

namespace Moebius.KubernetesEnvironment;

/// <summary>
/// One server of the control plane: its output goes to a log file, and the kernel kills it when this process ends, however
/// it ends.
/// </summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private const int LogTailLines = 20;

    private readonly Process _process;

    private ServerProcess(string name, string logFile, Process process)
    {
        Name = name;
        LogFile = logFile;
        _process = process;
    }

    public string Name { get; }

    public string LogFile { get; }

    public int Id => _process.Id;

    public static ServerProcess Start(string program, IEnumerable<string> arguments, string logFolder, IReadOnlyDictionary<string, string>? environment = null)
    {
        var name = Path.GetFileName(program);
        var logFile = Path.Combine(logFolder, name + ".log");
        var start = new ProcessStartInfo { FileName = "/bin/sh", UseShellExecute = false };
        // $0 is the log file. The signal on the parent's death survives both execs.
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("exec setpriv --pdeathsig KILL -- \"$@\" >>\"$0\" 2>&1 </dev/null");
        start.ArgumentList.Add(logFile);
        start.ArgumentList.Add(program);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (variable, value) in environment ?? new Dictionary<string, string>())
            start.Environment[variable] = value;
        return new ServerProcess(name, logFile, Launcher.Start(start));
    }

    /// <summary>Throws when the process ended by itself; the message holds the end of its log.</summary>
    public void ThrowIfExited()
    {
        if (_process.HasExited)
            throw new InvalidOperationException($"{Name} exited with {_process.ExitCode} during the start; the end of its log:\n{LogTail()}");
    }

    public string LogTail() => File.Exists(LogFile)
        ? string.Join('\n', ReadShared(LogFile).Split('\n').TakeLast(LogTailLines))
        : "(no log)";

    public static string ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    /// <summary>Ends it at once, as a crash would: nothing of a test server is worth a graceful stop.</summary>
    public async ValueTask DisposeAsync()
    {
        Kill();
        await _process.WaitForExitAsync().ConfigureAwait(false);
        _process.Dispose();
    }

    public void Kill()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // Already gone, or already disposed.
        }
    }

    /// <summary>
    /// Linux sends the parent-death signal when the <em>thread</em> that forked the child ends, and threads of the pool end
    /// when idle: so one thread that lives as long as the process starts all servers.
    /// </summary>
    private static class Launcher
    {
        private static readonly BlockingCollection<Action> Requests = [];

        static Launcher() => new Thread(Run) { IsBackground = true, Name = "server launcher" }.Start();

        public static Process Start(ProcessStartInfo start)
        {
            var started = new TaskCompletionSource<Process>();
            Requests.Add(() =>
            {
                try
                {
                    started.SetResult(Process.Start(start)!);
                }
                catch (Exception error)
                {
                    started.SetException(error);
                }
            });
            return started.Task.GetAwaiter().GetResult();
        }

        private static void Run()
        {
            foreach (var request in Requests.GetConsumingEnumerable())
                request();
        }
    }
}
