using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Moebius.Crds;
using Moebius.KubernetesEnvironment;

namespace Moebius.Bench.KvCache;

/// <summary>A store that speaks the Redis protocol, filled, and a client that reads values where they are wanted.</summary>
internal sealed class PeerStore : IDisposable
{
    private readonly Process _process;
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[][] _requests;
    private readonly byte[] _line = new byte[64];
    private readonly int _blocks;
    private readonly int _blockBytes;

    private PeerStore(Process process, int port, int sets, int blocks, int blockBytes)
    {
        _process = process;
        _blocks = blocks;
        _blockBytes = blockBytes;
        for (var patience = Stopwatch.StartNew(); !_socket.Connected;)
        {
            try
            {
                _socket.Connect(IPAddress.Loopback, port);
            }
            catch (SocketException) when (patience.Elapsed < TimeSpan.FromSeconds(30) && !process.HasExited)
            {
                Thread.Sleep(50);
            }
        }

        var value = new byte[blockBytes];
        Random.Shared.NextBytes(value);
        for (var block = 0; block < sets * blocks; block++)
        {
            Send(Encoding.ASCII.GetBytes($"*3\r\n$3\r\nSET\r\n$6\r\nkey{block:000}\r\n${blockBytes}\r\n"));
            Send(value);
            Send("\r\n"u8);
            if (ReadLine() != "+OK")
                throw new InvalidOperationException("the store does not take a value");
        }

        _requests = [.. Enumerable.Range(0, sets).Select(set => Encoding.ASCII.GetBytes(
            string.Concat(Enumerable.Range(set * blocks, blocks).Select(static block => $"*2\r\n$3\r\nGET\r\n$6\r\nkey{block:000}\r\n"))))];
    }

    /// <summary>Null: the server is not on this machine.</summary>
    public static PeerStore? Start(string name, int sets, int blocks, int blockBytes)
    {
        var program = Path.Combine(MoebiusCache.Root, "peers", "bin", name);
        if (!File.Exists(program))
            return null;
        var port = LoopbackPorts.Take();
        string[] arguments = name == "garnet-server"
            ? ["--port", $"{port}", "--bind", "127.0.0.1", "--memory", "256m"]
            : ["--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, WorkingDirectory = Path.GetTempPath() })
            ?? throw new UserInputException($"{program} does not start");
        process.OutputDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        return new PeerStore(process, port, sets, blocks, blockBytes);
    }

    /// <summary>Gets one set of values, one after the other into the target.</summary>
    public void Get(int set, Span<byte> target)
    {
        Send(_requests[set]);
        for (var block = 0; block < _blocks; block++)
        {
            if (ReadLine() != $"${_blockBytes}")
                throw new InvalidOperationException("the store does not have a value");
            Read(target.Slice(block * _blockBytes, _blockBytes));
            Read(_line.AsSpan(0, 2));
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
            bytes = bytes[_socket.Send(bytes)..];
    }

    private void Read(Span<byte> bytes)
    {
        while (bytes.Length > 0)
            bytes = bytes[_socket.Receive(bytes)..];
    }

    private string ReadLine()
    {
        // A byte at a time, but a length has eight: what follows is left for the caller's own memory.
        var length = 0;
        do
        {
            Read(_line.AsSpan(length, 1));
        }
        while (_line[length++] != '\n');
        return Encoding.ASCII.GetString(_line, 0, length - 2);
    }
}
