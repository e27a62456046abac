using System.Buffers.Binary;
using System.Net.Sockets;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Google.Protobuf;
using Grpc.Core;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Hot;
using Moebius.KvCache.Service;
using Moebius.Kvcache.V1;

namespace Moebius.KvCache.Tests.Service;

public sealed class HotSocketTests
{
    private const string Text = "once upon a time there was";

    [Fact]
    public async Task A_frame_answers_as_grpc_does()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Text);
        var byGrpc = await client.LookupAsync("alice", Text);
        using var socket = Connect(client.Attached.HotSocketPath);
        var (kind, call, message) = await AskAsync(socket, 7, Lookup(client.Session, "alice", Text));
        Assert.Equal((HotMessages.Lookup, 7u), (kind, call));
        var found = LookupResponse.Parser.ParseFrom(message);
        Assert.Equal(byGrpc.Blocks, found.Blocks);
        Assert.NotEqual(byGrpc.Lease, found.Lease);
        var (_, _, strangers) = await AskAsync(socket, 8, Lookup(client.Session, "bob", Text));
        Assert.Empty(LookupResponse.Parser.ParseFrom(strangers).Blocks);

        // Both leases hold; each is ended over the other way.
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        await client.Api.ReleaseAsync(new ReleaseRequest { Session = client.Session, Lease = found.Lease });
        Assert.True((await client.Api.StatsAsync(new StatsRequest())).SlotsFree < 64);
        await socket.SendAsync(HotMessages.Frame(HotMessages.Release, 0, new ReleaseRequest { Session = client.Session, Lease = byGrpc.Lease }));
        // Frames are worked off in order: the answer to the next call comes after the release.
        await AskAsync(socket, 9, Lookup(client.Session, "bob", Text));
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        Assert.Equal(64u, (await client.Api.StatsAsync(new StatsRequest())).SlotsFree);
    }

    [Fact]
    public async Task Errors_are_those_of_grpc_and_the_connection_goes_on()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        using var socket = Connect(client.Attached.HotSocketPath);
        var (kind, _, message) = await AskAsync(socket, 1, Lookup("nobody", "alice", Text));
        var error = HotError.Parser.ParseFrom(message);
        Assert.Equal((HotMessages.Error, (uint)StatusCode.NotFound), (kind, error.Code));
        Assert.StartsWith("session: unknown", error.Message, StringComparison.Ordinal);
        (_, _, message) = await AskAsync(socket, 2, new LookupRequest { Session = client.Session, Tenant = "a", WaitMilliseconds = 10_001 });
        Assert.Equal("wait_milliseconds: 10001, must be 0 to 10000", HotError.Parser.ParseFrom(message).Message);
    }

    [Fact]
    public async Task A_frame_that_arrives_in_pieces_is_one_frame()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Text);
        using var socket = Connect(client.Attached.HotSocketPath);
        var frame = HotMessages.Frame(HotMessages.Lookup, 3, Lookup(client.Session, "alice", Text));
        foreach (var piece in frame.Chunk(5))
            await socket.SendAsync(piece);
        // And two frames in one piece.
        await socket.SendAsync((byte[])[.. frame, .. frame]);
        for (var answer = 0; answer < 3; answer++)
            Assert.Equal(6, LookupResponse.Parser.ParseFrom((await ReadAsync(socket)).Message).Blocks.Count);
    }

    [Property(MaxTest = 100)]
    public void Whatever_is_sent_the_server_goes_on(byte[] garbage, byte kind, bool framed)
    {
        using var socket = Connect(Shared.Value.Client.Attached.HotSocketPath);
        var header = new byte[HotMessages.HeaderBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)(garbage.Length + 5));
        header[4] = kind;
        socket.Send(framed ? [.. header, .. garbage] : garbage);
        socket.Shutdown(SocketShutdown.Send);
        using var well = Connect(Shared.Value.Client.Attached.HotSocketPath);
        var (answered, _, _) = AskAsync(well, 1, Lookup(Shared.Value.Client.Session, "alice", Text)).GetAwaiter().GetResult();
        Assert.Equal(HotMessages.Lookup, answered);
    }

    [Property(MaxTest = 300)]
    public void Messages_by_hand_are_those_of_protobuf(uint[] tokens, NonNull<string> session, bool anonymous, uint wait, int[] slots, ulong lease, ushort staging)
    {
        var request = new LookupRequest { Session = Clean(session.Get), Tenant = "t", Anonymous = anonymous, WaitMilliseconds = wait };
        request.Tokens.AddRange(tokens);
        var buffer = new uint[1];
        var read = HotMessages.ReadLookup(request.ToByteArray(), ref buffer);
        Assert.Equal(new HotLookup(request.Session, "t", anonymous, wait, tokens.Length), read);
        Assert.Equal(tokens, buffer[..tokens.Length]);

        var answer = new LookupAnswer(lease, [.. slots.Select(slot => new SlotRef(slot & int.MaxValue, unchecked((ulong)slot)))], staging);
        var output = new byte[1];
        var length = HotMessages.WriteLookup(ref output, 5, answer);
        var parsed = LookupResponse.Parser.ParseFrom(output, HotMessages.HeaderBytes, length - HotMessages.HeaderBytes);
        Assert.Equal(answer.Blocks, parsed.Blocks.Select(slot => new SlotRef((int)slot.Index, slot.Generation)));
        Assert.Equal((lease.ToString("x16", null), (uint)staging), (parsed.Lease, parsed.StagingBlocks));
    }

    private static readonly Lazy<(TestServer Server, TestClient Client)> Shared = new(() =>
    {
        var server = TestServer.StartAsync().GetAwaiter().GetResult();
        return (server, server.Connect().AttachAsync().GetAwaiter().GetResult());
    });

    private static string Clean(string text) => new([.. text.Where(static character => !char.IsSurrogate(character))]);

    private static LookupRequest Lookup(string session, string tenant, string text)
    {
        var request = new LookupRequest { Session = session, Tenant = tenant };
        request.Tokens.AddRange(TestClient.Tokens(text));
        return request;
    }

    private static Socket Connect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    private static async Task<(byte Kind, uint Call, byte[] Message)> AskAsync(Socket socket, uint call, LookupRequest request)
    {
        await socket.SendAsync(HotMessages.Frame(HotMessages.Lookup, call, request));
        return await ReadAsync(socket);
    }

    private static async Task<(byte Kind, uint Call, byte[] Message)> ReadAsync(Socket socket)
    {
        await using var stream = new NetworkStream(socket, ownsSocket: false);
        var header = new byte[HotMessages.HeaderBytes];
        await stream.ReadExactlyAsync(header);
        var message = new byte[BinaryPrimitives.ReadUInt32LittleEndian(header) - 5];
        await stream.ReadExactlyAsync(message);
        return (header[4], BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(5)), message);
    }
}
