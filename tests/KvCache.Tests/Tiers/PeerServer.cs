using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>A real server that speaks the Redis protocol, on a port of its own, without persistence.</summary>
internal sealed class PeerServer : IDisposable
{
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
    public static async Task<PeerServer> StartAsync(string name)
    {
        var cache = Environment.GetEnvironmentVariable("MOEBIUS_CACHE")
            ?? Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "moebius");
        var program = Path.Combine(cache, "peers", "bin", name);
        if (!File.Exists(program))
            Assert.Skip($"{name} is not here: run build/peers/servers.sh");
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        var server = new PeerServer(program, port);
        await server.StartAsync();
        return server;
    }

    public async Task StartAsync()
    {
        string[] arguments = Path.GetFileName(_program) == "garnet-server"
            ? ["--port", $"{Port}", "--bind", "127.0.0.1", "--memory", "64m", "--index", "1m"]
            : ["--port", $"{Port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        _process = Process.Start(new ProcessStartInfo(_program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() })!;
        _process.OutputDataReceived += static (_, _) => { };
        _process.ErrorDataReceived += static (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        while (true)
        {
            Assert.False(_process.HasExited, $"{_program} has ended");
            try
            {
                using var probe = new TcpClient();
                await probe.ConnectAsync(IPAddress.Loopback, Port);
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(20);
            }
        }
    }

    public void Kill()
    {
        _process?.Kill();
        _process?.WaitForExit();
        _process?.Dispose();
        _process = null;
    }

    public void Dispose() => Kill();
}
