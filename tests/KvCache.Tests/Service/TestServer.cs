using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Moebius.Crds.Host;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Service;
using Client = Moebius.Kvcache.V1.KvCache.KvCacheClient;

namespace Moebius.KvCache.Tests.Service;

/// <summary>A real server on a real socket in a folder of its own.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    public const int BlockTokens = 4;
    public const int BlockBytes = 4096;

    private TestServer(KvCacheServer server, ServerOptions options, string folder)
    {
        Server = server;
        Options = options;
        Folder = folder;
    }

    public KvCacheServer Server { get; private set; }

    public ServerOptions Options { get; }

    public string Folder { get; }

    public static async Task<TestServer> StartAsync(int slots = 64, string? policy = null, TimeProvider? time = null, Func<string, ServerOptions, ServerOptions>? configure = null)
    {
        var folder = Directory.CreateTempSubdirectory("kvcache-").FullName;
        var policyPath = policy is null ? null : Path.Combine(folder, "policy.yaml");
        if (policyPath is not null)
            await File.WriteAllTextAsync(policyPath, policy);
        var options = new ServerOptions
        {
            SocketPath = Path.Combine(folder, "s"),
            ArenaPath = Path.Combine(folder, "arena"),
            ArenaBytes = slots * (BlockBytes + 8L),
            PolicyPath = policyPath,
        };
        options = configure?.Invoke(folder, options) ?? options;
        return new TestServer(await KvCacheServer.StartAsync(options, time ?? TimeProvider.System, CancellationToken.None), options, folder);
    }

    public TestClient Connect() => new(Options.SocketPath);

    /// <summary>Waits until every commit so far has its verdict.</summary>
    public Task ClassifiedAsync() => Eventually.TrueAsync(() => Server.Store.PendingClassifications == 0);

    /// <summary>Waits until nothing is on its way between the arena and another tier.</summary>
    public Task CopiedAsync() => Eventually.TrueAsync(() => Server.Store.PendingCopies == 0);

    /// <summary>Stops the server and starts another one on the same files.</summary>
    public async Task RestartAsync(Action? whileStopped = null)
    {
        await Server.DisposeAsync();
        whileStopped?.Invoke();
        Server = await KvCacheServer.StartAsync(Options, TimeProvider.System, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>An engine's side of the contract.</summary>
internal sealed class TestClient : IDisposable
{
    private readonly GrpcChannel _channel;
    private AsyncServerStreamingCall<HoldResponse>? _hold;

    public TestClient(string socketPath)
    {
        _channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = UnixSockets.Handler(socketPath),
        });
        Api = new Client(_channel);
    }

    public Client Api { get; }

    public string Session { get; private set; } = "";

    public AttachResponse Attached { get; private set; } = new();

    public async Task<TestClient> AttachAsync(string model = "model", uint blockTokens = TestServer.BlockTokens, ulong blockBytes = TestServer.BlockBytes)
    {
        Attached = await Api.AttachAsync(new AttachRequest
        {
            ProtocolVersion = 1,
            Fingerprint = ByteString.CopyFrom(SHA256.HashData(Encoding.UTF8.GetBytes(model))),
            BlockTokens = blockTokens,
            BlockBytes = blockBytes,
            EngineId = "test",
        });
        Session = Attached.Session;
        _hold = Api.Hold(new HoldRequest { Session = Session });
        Assert.True(await _hold.ResponseStream.MoveNext(CancellationToken.None));
        return this;
    }

    public async Task<LookupResponse> LookupAsync(string tenant, string text, bool anonymous = false, uint wait = 0, bool again = false)
    {
        var request = new LookupRequest { Session = Session, Tenant = tenant, Anonymous = anonymous, WaitMilliseconds = wait, Again = again };
        request.Tokens.AddRange(Tokens(text));
        return await Api.LookupAsync(request);
    }

    /// <summary>How many blocks of the text the tenant finds; the lease is ended at once.</summary>
    public async Task<int> HitsAsync(string tenant, string text, bool anonymous = false)
    {
        var response = await LookupAsync(tenant, text, anonymous);
        await Api.ReleaseAsync(new ReleaseRequest { Session = Session, Lease = response.Lease });
        return response.Blocks.Count;
    }

    public async Task<IReadOnlyList<Slot>> ReserveAsync(string tenant, int count, bool anonymous = false) =>
        (await Api.ReserveAsync(new ReserveRequest { Session = Session, Tenant = tenant, Count = (uint)count, Anonymous = anonymous })).Slots;

    /// <summary>Looks up, reserves and commits what is missing, as an engine does for a request.</summary>
    public async Task<CommitResponse> CacheAsync(string tenant, string text, bool anonymous = false)
    {
        var blocks = text.Length / TestServer.BlockTokens;
        var found = await HitsAsync(tenant, text, anonymous);
        if (found == blocks)
            return new CommitResponse { CachedBlocks = (uint)found };
        var slots = await ReserveAsync(tenant, blocks - found, anonymous);
        return slots.Count == 0
            ? new CommitResponse { CachedBlocks = (uint)found }
            : await Api.CommitAsync(Commit(tenant, text[..((found + slots.Count) * TestServer.BlockTokens)], found, slots, anonymous));
    }

    /// <summary>As <see cref="CacheAsync"/>, with bytes that follow from each block's prefix.</summary>
    public async Task<CommitResponse> CacheBytesAsync(string tenant, string text, bool anonymous = false)
    {
        var found = await HitsAsync(tenant, text, anonymous);
        var slots = await ReserveAsync(tenant, (text.Length / TestServer.BlockTokens) - found, anonymous);
        await using var arena = new FileStream(Attached.ArenaPath, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        for (var index = 0; index < slots.Count; index++)
        {
            arena.Position = (long)(slots[index].Index * Attached.SlotBytes);
            await arena.WriteAsync(BytesOf(text[..((found + index + 1) * TestServer.BlockTokens)]));
        }

        await arena.FlushAsync();
        return await Api.CommitAsync(Commit(tenant, text[..((found + slots.Count) * TestServer.BlockTokens)], found, slots, anonymous));
    }

    /// <summary>Looks up with patience and checks every byte of what is found.</summary>
    public async Task<int> ReadsAsync(string tenant, string text, bool anonymous = false)
    {
        var found = await LookupAsync(tenant, text, anonymous, wait: 10_000);
        await using var arena = new FileStream(Attached.ArenaPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        for (var block = 0; block < found.Blocks.Count; block++)
        {
            var bytes = new byte[TestServer.BlockBytes];
            arena.Position = (long)(found.Blocks[block].Index * Attached.SlotBytes);
            await arena.ReadExactlyAsync(bytes);
            Assert.Equal(BytesOf(text[..((block + 1) * TestServer.BlockTokens)]), bytes);
        }

        await Api.ReleaseAsync(new ReleaseRequest { Session = Session, Lease = found.Lease });
        return found.Blocks.Count;
    }

    /// <summary>A block's KV bytes, as a model would compute them from its prefix.</summary>
    public static byte[] BytesOf(string prefix)
    {
        var bytes = new byte[TestServer.BlockBytes];
        new Random(BitConverter.ToInt32(SHA256.HashData(Encoding.UTF8.GetBytes(prefix)))).NextBytes(bytes);
        return bytes;
    }

    public CommitRequest Commit(string tenant, string text, int firstBlock, IEnumerable<Slot> slots, bool anonymous = false)
    {
        var request = new CommitRequest
        {
            Session = Session,
            Tenant = tenant,
            Anonymous = anonymous,
            FirstBlock = (uint)firstBlock,
            Text = ByteString.CopyFromUtf8(text),
        };
        request.Tokens.AddRange(Tokens(text));
        request.TokenBytes.AddRange(text.Select(_ => 1u));
        request.Slots.AddRange(slots);
        return request;
    }

    /// <summary>One token per character of ASCII text.</summary>
    public static IEnumerable<uint> Tokens(string text) => text.Select(character => (uint)character);

    public void Dispose()
    {
        _hold?.Dispose();
        _channel.Dispose();
    }
}
