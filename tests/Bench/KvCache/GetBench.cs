using System.Diagnostics;
using System.IO.MemoryMappedFiles;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Moebius.Crds;

namespace Moebius.Bench.KvCache;

/// <summary>
/// Getting 32 cached blocks of 256 KiB into the caller's memory: a lookup over the hot socket and copies out of the shared
/// arena, against 32 pipelined GETs to Redis and Garnet over loopback, read straight into the same memory, and against
/// copying as much from one place in memory to another.
/// </summary>
internal static class GetBench
{
    private const int BlockTokens = 16;
    private const int Blocks = 32;
    private const int BlockBytes = 256 << 10;
    private const int Repeats = 9;
    private const int Rounds = 40;

    public static async Task RunAsync()
    {
        var folder = Directory.CreateDirectory(Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"moebius-bench-{Environment.ProcessId}"));
        try
        {
            await using var sidecar = ProductProcess.Start("kvcache", "serve", "--socket", Path.Combine(folder.FullName, "kv.sock"), "--arena", folder.FullName, "--arena-size", "64Mi");
            await sidecar.SaysAsync("Serving on");
            using var cache = await CachedBlocks.CreateAsync(Path.Combine(folder.FullName, "kv.sock"), BlockTokens, Blocks, BlockBytes);
            using var redis = PeerStore.Start("redis-server", Blocks, BlockBytes);
            using var garnet = PeerStore.Start("garnet-server", Blocks, BlockBytes);
            var target = GC.AllocateUninitializedArray<byte>(Blocks * BlockBytes, pinned: true);
            var source = GC.AllocateUninitializedArray<byte>(Blocks * BlockBytes, pinned: true);
            Random.Shared.NextBytes(source);
            var results = new List<(double Arena, double Lookup, double Copy, double Redis, double Garnet)>();
            for (var repeat = -2; repeat < Repeats; repeat++)
            {
                var times = (
                    Time(() => cache.Get(target)),
                    Time(() => cache.Lookup(Blocks)),
                    Time(() =>
                    {
                        for (var block = 0; block < Blocks; block++)
                            source.AsSpan(block * BlockBytes, BlockBytes).CopyTo(target.AsSpan(block * BlockBytes));
                    }),
                    redis is null ? double.NaN : Time(() => redis.Get(target)),
                    garnet is null ? double.NaN : Time(() => garnet.Get(target)));
                if (repeat >= 0)
                    results.Add(times);
            }

            Report.Title(
                $"Getting {Blocks} blocks of {BlockBytes >> 10} KiB ({Repeats} repeats of {Rounds})", "from", "GiB/s", "the arena against it", "bar", "");
            Row("the arena: lookup, copy, release", static result => result.Arena, null);
            Report.Row("of which the lookup", Spread.Of(results.Select(static result => 1e6 * result.Lookup)).Text("F0", " us"), "", "", "");
            Row("memory (memcpy)", static result => result.Copy, 0.8);
            if (redis is not null)
                Row("Redis, pipelined GETs on loopback", static result => result.Redis, 5);
            if (garnet is not null)
                Row("Garnet, pipelined GETs on loopback", static result => result.Garnet, 5);
            if (redis is null || garnet is null)
                Report.Line("A server is missing: run build/peers/servers.sh.");

            void Row(string name, Func<(double Arena, double Lookup, double Copy, double Redis, double Garnet), double> of, double? bar)
            {
                var ratio = Spread.Of(results.Select(result => of(result) / result.Arena));
                Report.Row(
                    name,
                    Spread.Of(results.Select(result => Blocks * (double)BlockBytes / (1 << 30) / of(result))).Text("F2"),
                    bar is null ? "" : ratio.Text("F2", "x"),
                    bar is null ? "" : FormattableString.Invariant($">= {bar}x"),
                    bar is { } limit ? Report.AtLeast(ratio.Median, limit) : "");
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Seconds for one round.</summary>
    private static double Time(Action round)
    {
        var begun = Stopwatch.GetTimestamp();
        for (var index = 0; index < Rounds; index++)
            round();
        return Stopwatch.GetElapsedTime(begun).TotalSeconds / Rounds;
    }
}

/// <summary>A store that speaks the Redis protocol, filled, and a client that reads values where they are wanted.</summary>
internal sealed class PeerStore : IDisposable
{
    private readonly Process _process;
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _request;
    private readonly byte[] _line = new byte[64];
    private readonly int _blocks;
    private readonly int _blockBytes;

    private PeerStore(Process process, int port, int blocks, int blockBytes)
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
        for (var block = 0; block < blocks; block++)
        {
            Send(Encoding.ASCII.GetBytes($"*3\r\n$3\r\nSET\r\n$5\r\nkey{block:00}\r\n${blockBytes}\r\n"));
            Send(value);
            Send("\r\n"u8);
            if (ReadLine() != "+OK")
                throw new InvalidOperationException("the store does not take a value");
        }

        _request = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, blocks).Select(static block => $"*2\r\n$3\r\nGET\r\n$5\r\nkey{block:00}\r\n")));
    }

    /// <summary>Null: the server is not on this machine.</summary>
    public static PeerStore? Start(string name, int blocks, int blockBytes)
    {
        var cache = Environment.GetEnvironmentVariable("MOEBIUS_CACHE")
            ?? Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "moebius");
        var program = Path.Combine(cache, "peers", "bin", name);
        if (!File.Exists(program))
            return null;
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        string[] arguments = name == "garnet-server"
            ? ["--port", $"{port}", "--bind", "127.0.0.1", "--memory", "256m"]
            : ["--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, WorkingDirectory = Path.GetTempPath() })
            ?? throw new UserInputException($"{program} does not start");
        process.OutputDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        return new PeerStore(process, port, blocks, blockBytes);
    }

    public void Get(byte[] target)
    {
        Send(_request);
        for (var block = 0; block < _blocks; block++)
        {
            if (ReadLine() != $"${_blockBytes}")
                throw new InvalidOperationException("the store does not have a value");
            Read(target.AsSpan(block * _blockBytes, _blockBytes));
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

/// <summary>Blocks in a sidecar's arena, and what an engine does to get them.</summary>
internal sealed class CachedBlocks : IDisposable
{
    private readonly LookupBench.Client _client;
    private readonly HotDriver.Client _hot;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly nint _arena;
    private readonly int _blockBytes;

    private CachedBlocks(LookupBench.Client client, HotDriver.Client hot, int blockBytes)
    {
        _client = client;
        _hot = hot;
        _blockBytes = blockBytes;
        _file = MemoryMappedFile.CreateFromFile(client.Attached.ArenaPath, FileMode.Open);
        _view = _file.CreateViewAccessor();
        _arena = _view.SafeMemoryMappedViewHandle.DangerousGetHandle();
    }

    public static async Task<CachedBlocks> CreateAsync(string socket, int blockTokens, int blocks, int blockBytes)
    {
        var client = await LookupBench.Client.ConnectAsync(socket, [.. Enumerable.Range(0, blocks * blockTokens).Select(static token => (uint)token)], (ulong)blockBytes);
        await client.CacheAsync(blocks);
        return new CachedBlocks(client, new HotDriver.Client(client.Attached.HotSocketPath, client.Request), blockBytes);
    }

    public void Lookup(int blocks)
    {
        _hot.Send();
        while (_hot.TryReceive(blocks) is null)
        {
        }
    }

    public unsafe void Get(byte[] target)
    {
        Lookup(target.Length / _blockBytes);
        for (var block = 0; block < _hot.Slots.Count; block++)
            new ReadOnlySpan<byte>((byte*)_arena + ((long)_hot.Slots[block] * (long)_client.Attached.SlotBytes), _blockBytes).CopyTo(target.AsSpan(block * _blockBytes));
    }

    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
        _hot.Socket.Dispose();
        _client.Dispose();
    }
}
