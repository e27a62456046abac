extern alias sidecar;

using System.Diagnostics;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Moebius.Crds.Host;
using sidecar::Moebius.Kvcache.V1;

namespace Moebius.Bench.KvCache;

/// <summary>
/// Lookup of a cached prefix of 128 blocks over the Unix sockets of a real sidecar process: the hot one, with frames, and
/// gRPC's, beside the floor of a unary gRPC call on the same connections (a Release that names no lease and no slots).
/// Every client has a connection and a session of its own; all clients run in this process, on the same processors as
/// the sidecar.
/// </summary>
internal static class LookupBench
{
    private const int BlockTokens = 16;
    private const int Blocks = 128;
    private const int Clients = 64;
    private const int Repeats = 5;
    private static readonly TimeSpan PhaseLength = TimeSpan.FromMilliseconds(800);
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    public static async Task RunAsync()
    {
        var folder = MemoryFolder.Create();
        try
        {
            var socket = Path.Combine(folder.FullName, "kv.sock");
            await using var sidecar = ProductProcess.Start("kvcache", "serve", "--socket", socket, "--arena", folder.FullName, "--arena-size", "16Mi");
            await sidecar.SaysAsync("Serving on");
            var random = new Random(4);
            uint[] tokens = [.. Enumerable.Range(0, Blocks * BlockTokens).Select(_ => (uint)random.Next(150_000))];
            var clients = new List<Client>();
            try
            {
                for (var i = 0; i < Clients; i++)
                    clients.Add(await Client.ConnectAsync(socket, tokens));
                await clients[0].CacheAsync();

                using var hot = new HotDriver(clients[0].Attached.HotSocketPath, clients.Select(static client => client.Request));
                using var floor = new HotFloor(Path.Combine(folder.FullName, "floor"), Blocks);
                using var hotFloor = new HotDriver(Path.Combine(folder.FullName, "floor"), clients.Select(static client => client.Request));
                Report.Title(
                    $"Lookup of {Blocks} blocks over the Unix socket ({Repeats} repeats of {PhaseLength.TotalSeconds:F1} s; microseconds)",
                    "load", "hot: lookups/s", "hot p50", "hot p99", "frames floor: exchanges/s", "frames floor p50", "frames floor p99", "gRPC: lookups/s", "gRPC p50", "gRPC p99", "gRPC floor p50", "gRPC floor p99", "p99, hot over frames floor", "p99, hot over gRPC floor", "bar on hot p99", "");
                await ShowAsync("1 client, closed loop", clients[..1], hot, hotFloor, TimeSpan.Zero, 250);
                await ShowAsync("64 clients, closed loop", clients, hot, hotFloor, TimeSpan.Zero, 1000);
                await ShowAsync("64 clients, 100 ms between calls", clients, hot, hotFloor, Pause, 1000);
            }
            finally
            {
                foreach (var client in clients)
                    client.Dispose();
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task ShowAsync(string name, List<Client> clients, HotDriver hot, HotDriver hotFloor, TimeSpan pause, double bar)
    {
        var results = new List<Times>();
        for (var repeat = -2; repeat < Repeats; repeat++)
        {
            await SettleAsync();
            var floor = await PhaseAsync(clients, pause, static client => client.FloorAsync());
            await SettleAsync();
            var grpc = await PhaseAsync(clients, pause, static client => client.LookupAsync());
            await SettleAsync();
            var lean = await Task.Run(() => hot.Run(clients.Count, PhaseLength, pause, Blocks));
            await SettleAsync();
            var least = await Task.Run(() => hotFloor.Run(clients.Count, PhaseLength, pause, Blocks));
            if (repeat >= 0)
                results.Add(new Times(lean, least, grpc, floor));
        }

        var p99 = Over(static result => Spread.Quantile(result.Hot, 0.99));
        Report.Row(
            name,
            Over(static result => result.Hot.Length / PhaseLength.TotalSeconds).Text("F0"),
            Over(static result => Spread.Quantile(result.Hot, 0.5)).Text("F0"),
            p99.Text("F0"),
            Over(static result => result.HotFloor.Length / PhaseLength.TotalSeconds).Text("F0"),
            Over(static result => Spread.Quantile(result.HotFloor, 0.5)).Text("F0"),
            Over(static result => Spread.Quantile(result.HotFloor, 0.99)).Text("F0"),
            Over(static result => result.Grpc.Length / PhaseLength.TotalSeconds).Text("F0"),
            Over(static result => Spread.Quantile(result.Grpc, 0.5)).Text("F0"),
            Over(static result => Spread.Quantile(result.Grpc, 0.99)).Text("F0"),
            Over(static result => Spread.Quantile(result.Floor, 0.5)).Text("F0"),
            Over(static result => Spread.Quantile(result.Floor, 0.99)).Text("F0"),
            Over(static result => Spread.Quantile(result.Hot, 0.99) / Spread.Quantile(result.HotFloor, 0.99)).Text("F2", "x"),
            Over(static result => Spread.Quantile(result.Hot, 0.99) / Spread.Quantile(result.Floor, 0.99)).Text("F2", "x"),
            $"<= {bar}",
            Report.AtMost(p99.Median, bar));

        Spread Over(Func<Times, double> of) => Spread.Of(results.Select(of));
    }

    /// <summary>Sorted times of a repeat, in microseconds.</summary>
    private sealed record Times(double[] Hot, double[] HotFloor, double[] Grpc, double[] Floor);

    /// <summary>What one phase leaves behind in both processes, as garbage and threads that look for more work, is not the next one's cost.</summary>
    private static async Task SettleAsync()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        await Task.Delay(Settle);
    }

    /// <summary>Sorted times of one kind of call, all clients together, in microseconds.</summary>
    private static async Task<double[]> PhaseAsync(List<Client> clients, TimeSpan pause, Func<Client, Task<TimeSpan>> call)
    {
        var end = Stopwatch.GetTimestamp() + (long)(PhaseLength.TotalSeconds * Stopwatch.Frequency);
        var times = await Task.WhenAll(clients.Select((client, number) => Task.Run(async () =>
        {
            var own = new List<double>();
            // Clients that pause do not all begin at once.
            if (pause > TimeSpan.Zero)
                await Task.Delay(pause * number / clients.Count);
            while (Stopwatch.GetTimestamp() < end)
            {
                own.Add((await call(client)).TotalMicroseconds);
                if (pause > TimeSpan.Zero)
                    await Task.Delay(pause);
            }

            return own;
        })));
        return [.. times.SelectMany(static own => own).Order()];
    }

    /// <summary>One engine: a channel, a session, and the lookup that it repeats.</summary>
    internal sealed class Client : IDisposable
    {
        private readonly GrpcChannel _channel;
        private readonly sidecar::Moebius.Kvcache.V1.KvCache.KvCacheClient _client;
        private readonly LookupRequest _lookup;
        private string _session = "";
        private AsyncServerStreamingCall<HoldResponse>? _hold;

        private Client(string socket, uint[] tokens, string tenant)
        {
            _channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
            {
                HttpHandler = UnixSockets.Handler(socket),
                DisposeHttpClient = true,
            });
            _client = new sidecar::Moebius.Kvcache.V1.KvCache.KvCacheClient(_channel);
            _lookup = new LookupRequest { Tenant = tenant };
            _lookup.Tokens.Add(tokens);
        }

        public LookupRequest Request => _lookup;

        public AttachResponse Attached { get; private set; } = new();

        public static async Task<Client> ConnectAsync(string socket, uint[] tokens, ulong blockBytes = 4096, string tenant = "tenant")
        {
            var client = new Client(socket, tokens, tenant);
            var attached = await client._client.AttachAsync(new AttachRequest
            {
                ProtocolVersion = 1,
                Fingerprint = ByteString.CopyFrom(new byte[32]),
                BlockTokens = BlockTokens,
                BlockBytes = blockBytes,
                EngineId = "bench",
            });
            client._session = client._lookup.Session = attached.Session;
            client.Attached = attached;
            client._hold = client._client.Hold(new HoldRequest { Session = attached.Session });
            await client._hold.ResponseStream.MoveNext(CancellationToken.None);
            return client;
        }

        public async Task CacheAsync(int blocks = Blocks)
        {
            var reserved = await _client.ReserveAsync(new ReserveRequest { Session = _session, Tenant = _lookup.Tenant, Count = (uint)blocks });
            var commit = new CommitRequest { Session = _session, Tenant = _lookup.Tenant, Text = ByteString.Empty };
            commit.Tokens.Add(_lookup.Tokens);
            commit.TokenBytes.Add(Enumerable.Repeat(0u, _lookup.Tokens.Count));
            commit.Slots.Add(reserved.Slots);
            var committed = await _client.CommitAsync(commit);
            if (committed.CachedBlocks != blocks)
                throw new InvalidOperationException($"{committed.CachedBlocks} blocks are cached instead of {blocks}");
        }

        /// <summary>The lease is released after the measured time.</summary>
        public async Task<TimeSpan> LookupAsync()
        {
            var begun = Stopwatch.GetTimestamp();
            var found = await _client.LookupAsync(_lookup);
            var taken = Stopwatch.GetElapsedTime(begun);
            if (found.Blocks.Count != Blocks)
                throw new InvalidOperationException($"{found.Blocks.Count} blocks were found instead of {Blocks}");
            await _client.ReleaseAsync(new ReleaseRequest { Session = _session, Lease = found.Lease });
            return taken;
        }

        public async Task<TimeSpan> FloorAsync()
        {
            var begun = Stopwatch.GetTimestamp();
            await _client.ReleaseAsync(new ReleaseRequest { Session = _session });
            return Stopwatch.GetElapsedTime(begun);
        }

        public void Dispose()
        {
            _hold?.Dispose();
            _channel.Dispose();
        }
    }
}
