extern alias sidecar;

using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Moebius.Crds.Host;
using sidecar::Moebius.Kvcache.V1;

namespace Moebius.Bench.KvCache.Attack;

/// <summary>An engine's side of the contract, one token for each character: the finest grain that a guess can have.</summary>
internal sealed class CacheClient : IDisposable
{
    private readonly GrpcChannel _channel;
    private readonly sidecar::Moebius.Kvcache.V1.KvCache.KvCacheClient _client;
    private string _session = "";
    private AsyncServerStreamingCall<HoldResponse>? _hold;

    private CacheClient(string socket)
    {
        _channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = UnixSockets.Handler(socket),
            DisposeHttpClient = true,
        });
        _client = new sidecar::Moebius.Kvcache.V1.KvCache.KvCacheClient(_channel);
    }

    public static async Task<CacheClient> ConnectAsync(string socket, uint blockBytes)
    {
        var client = new CacheClient(socket);
        var attached = await client._client.AttachAsync(new AttachRequest
        {
            ProtocolVersion = 1, Fingerprint = ByteString.CopyFrom(new byte[32]), BlockTokens = 1, BlockBytes = blockBytes, EngineId = "attack",
        });
        client._session = attached.Session;
        client._hold = client._client.Hold(new HoldRequest { Session = attached.Session });
        await client._hold.ResponseStream.MoveNext(CancellationToken.None);
        return client;
    }

    /// <summary>How many leading characters of a text the tenant finds.</summary>
    public async Task<int> HitsAsync(string tenant, string text)
    {
        var request = new LookupRequest { Session = _session, Tenant = tenant };
        request.Tokens.AddRange(Tokens(text));
        var found = await _client.LookupAsync(request);
        await _client.ReleaseAsync(new ReleaseRequest { Session = _session, Lease = found.Lease });
        return found.Blocks.Count;
    }

    /// <summary>Caches a prompt as an engine does that has computed it.</summary>
    public async Task CacheAsync(string tenant, string text)
    {
        var found = await HitsAsync(tenant, text);
        var characters = Tokens(text);
        if (found == characters.Length)
            return;
        var reserved = await _client.ReserveAsync(new ReserveRequest { Session = _session, Tenant = tenant, Count = (uint)(characters.Length - found) });
        if (reserved.Slots.Count < characters.Length - found)
            throw new InvalidOperationException("the arena is too small for the attack's prompts");
        var commit = new CommitRequest { Session = _session, Tenant = tenant, FirstBlock = (uint)found, Text = ByteString.CopyFromUtf8(text) };
        commit.Tokens.AddRange(characters);
        commit.TokenBytes.AddRange(text.EnumerateRunes().Select(rune => (uint)rune.Utf8SequenceLength));
        commit.Slots.Add(reserved.Slots);
        await _client.CommitAsync(commit);
    }

    public void Dispose()
    {
        _hold?.Dispose();
        _channel.Dispose();
    }

    private static uint[] Tokens(string text) => [.. text.EnumerateRunes().Select(rune => (uint)rune.Value)];
}
