using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>A real Redis, written to and read from all the time. A request without its own answer has failed.</summary>
internal sealed class RedisLoop : IDisposable
{
    private readonly Process _server;
    private readonly Thread _client;
    private volatile bool _stopped;

    public RedisLoop()
    {
        _server = Start();
        _client = new Thread(Run);
        _client.Start();
        while (Answered < 10 && Failed == 0)
            Thread.Sleep(10);
    }

    /// <summary>Where the server listens.</summary>
    public static string SocketPath => "/tmp/redis.sock";

    public long Answered { get; private set; }

    public long Failed { get; private set; }

    /// <summary>What the last failure was.</summary>
    public string? Failure { get; private set; }

    public TimeSpan Slowest { get; private set; }

    /// <summary>Starts a server and waits until it listens.</summary>
    public static Process Start()
    {
        File.Delete(SocketPath);
        var server = Process.Start(new ProcessStartInfo("/bin/redis-server", ["--port", "0", "--unixsocket", SocketPath, "--save", "", "--appendonly", "no", "--daemonize", "no"]) { RedirectStandardOutput = true })!;
        server.OutputDataReceived += (_, _) => { };
        server.BeginOutputReadLine();
        while (!File.Exists(SocketPath))
        {
            if (server.HasExited)
                throw new InvalidOperationException($"redis-server ended with {server.ExitCode}");
            Thread.Sleep(20);
        }

        return server;
    }

    public void Dispose()
    {
        _stopped = true;
        _client.Join();
        new[] { _server }.Kill();
    }

    private void Run()
    {
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 5000 };
            socket.Connect(new UnixDomainSocketEndPoint(SocketPath));
            for (var i = 0; !_stopped; i++)
            {
                Ask(socket, $"SET key{i % 16} value{i}", "+OK\r\n");
                Ask(socket, $"GET key{i % 16}", $"${$"value{i}".Length}\r\nvalue{i}\r\n");
                Thread.Sleep(2);
            }
        }
        catch (SocketException error)
        {
            Failed++;
            Failure = error.Message;
        }
    }

    private void Ask(Socket socket, string command, string expected)
    {
        var begun = Stopwatch.GetTimestamp();
        socket.Send(Encoding.ASCII.GetBytes(command + "\r\n"));
        Span<byte> buffer = stackalloc byte[256];
        var length = 0;
        while (length < expected.Length)
        {
            var count = socket.Receive(buffer[length..]);
            if (count == 0)
                throw new SocketException((int)SocketError.ConnectionReset);
            length += count;
        }

        var answer = Encoding.ASCII.GetString(buffer[..length]);
        if (answer != expected)
        {
            Failed++;
            Failure = $"{command}: {answer}";
        }

        Answered++;
        var took = Stopwatch.GetElapsedTime(begun);
        Slowest = took > Slowest ? took : Slowest;
    }
}
