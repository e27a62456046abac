using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Moebius.KubernetesEnvironment;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>A real server that speaks the Redis protocol, on a port of its own, without persistence.</summary>
internal sealed partial class PeerServer : IDisposable
{
    private const int Tries = 5;

    private readonly string _program;
    private Process? _process;

    private PeerServer(string program, int port)
    {
        _program = program;
        Port = port;
    }

    public int Port { get; }

    public string Address => $"127.0.0.1:{Port}";

    /// <summary>Starts a server, or skips the test when it is not on this machine.</summary>
    /// <param name="name">The program.</param>
    /// <param name="ports">Ports to try; null: any that are free.</param>
    public static async Task<PeerServer> StartAsync(string name, Func<int>? ports = null)
    {
        var program = Path.Combine(MoebiusCache.Root, "peers", "bin", name);
        if (!File.Exists(program))
            Assert.Skip($"{name} is not here: run build/peers/servers.sh");
        for (var tries = 1; ; tries++)
        {
            var server = new PeerServer(program, (ports ?? LoopbackPorts.Take)());
            if (await server.TryStartAsync() is not { } output)
                return server;
            server.Dispose();
            // Somebody has taken the port since it was chosen.
            Assert.True(tries < Tries && InUse().IsMatch(output), $"{program} has ended:\n{output}");
        }
    }

    /// <summary>Starts it again, on the same port.</summary>
    public async Task StartAsync()
    {
        if (await TryStartAsync() is { } output)
            Assert.Fail($"{_program} has ended:\n{output}");
    }

    public void Kill()
    {
        _process?.Kill();
        _process?.WaitForExit();
        _process?.Dispose();
        _process = null;
    }

    public void Dispose() => Kill();

    /// <returns>Null when it is ready; what it has said when it has ended.</returns>
    private async Task<string?> TryStartAsync()
    {
        string[] arguments = Path.GetFileName(_program) == "garnet-server"
            ? ["--port", $"{Port}", "--bind", "127.0.0.1", "--memory", "64m", "--index", "1m"]
            : ["--port", $"{Port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        var process = _process = Process.Start(new ProcessStartInfo(_program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() })!;
        var output = new ConcurrentQueue<string>();
        // By its own word: another server may answer on the port.
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        process.OutputDataReceived += OnLine;
        process.ErrorDataReceived += OnLine;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        await Eventually.EndsAsync(Task.WhenAny(ready.Task, process.WaitForExitAsync()), $"{_program} is ready");
        return ready.Task.IsCompleted ? null : string.Join('\n', output);

        void OnLine(object sender, DataReceivedEventArgs line)
        {
            if (line.Data is null || ready.Task.IsCompleted)
                return;
            output.Enqueue(line.Data);
            if (line.Data.Contains("Ready to accept connections", StringComparison.Ordinal))
                ready.TrySetResult();
        }
    }

    [GeneratedRegex(@"address\s*already\s*in\s*use", RegexOptions.IgnoreCase)]
    private static partial Regex InUse();
}
