using System.Buffers.Binary;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using FsCheck;
using Grpc.Core;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Hot;

namespace Moebius.KvCache.Tests.Service;

[Trait("Category", "Component")]
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
        var found = Answer(message);
        Assert.Equal(byGrpc.Blocks, found.Blocks);
        Assert.NotEqual(byGrpc.Lease, found.Lease);
        var (_, _, strangers) = await AskAsync(socket, 8, Lookup(client.Session, "bob", Text));
        Assert.Empty(Answer(strangers).Blocks);

        // Both leases hold; each is ended over the other way.
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        await client.Api.ReleaseAsync(new ReleaseRequest { Session = client.Session, Lease = found.Lease });
        Assert.True((await client.Api.StatsAsync(new StatsRequest())).SlotsFree < 64);
        await socket.SendAsync(Release(client.Session, byGrpc.Lease));
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
        (_, _, message) = await AskAsync(socket, 3, new LookupRequest { Session = client.Session });
        Assert.StartsWith("tenant: empty", HotError.Parser.ParseFrom(message).Message, StringComparison.Ordinal);
        // Two names that are no text must not be taken for one.
        var frame = Frame(4, Lookup(client.Session, "?", Text));
        frame[HotMessages.HeaderBytes + 8 + client.Session.Length] = 0xFF;
        await socket.SendAsync(frame);
        (_, _, message) = await ReadAsync(socket);
        Assert.Equal("tenant: not UTF-8", HotError.Parser.ParseFrom(message).Message);
    }

    [Fact]
    public async Task A_lease_ends_with_the_answer_that_could_not_be_sent()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Text);
        using var deaf = Connect(client.Attached.HotSocketPath);
        // The server's answer fails at once: nobody reads it.
        deaf.Shutdown(SocketShutdown.Receive);
        var before = (await client.Api.StatsAsync(new StatsRequest())).Lookups;
        await deaf.SendAsync(Frame(1, Lookup(client.Session, "alice", Text)));
        await Eventually.TrueAsync(async () => (await client.Api.StatsAsync(new StatsRequest())).Lookups > before);
        await Eventually.TrueAsync(async () =>
        {
            await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
            return (await client.Api.StatsAsync(new StatsRequest())).SlotsFree == 64;
        });
    }

    [Fact]
    public async Task Reserved_slots_are_given_back_over_the_hot_socket_too()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        using var socket = Connect(client.Attached.HotSocketPath);
        var slots = await client.ReserveAsync("alice", 3);
        Assert.Equal(61u, (await client.Api.StatsAsync(new StatsRequest())).SlotsFree);
        await socket.SendAsync(HotMessages.Frame(HotMessages.ReleaseSlots, 0, new ReleaseRequest { Session = client.Session, Slots = { slots } }));
        await AskAsync(socket, 1, Lookup(client.Session, "alice", Text));
        Assert.Equal(64u, (await client.Api.StatsAsync(new StatsRequest())).SlotsFree);
    }

    [Fact]
    public async Task Frames_of_two_connections_that_arrive_in_pieces_do_not_mix()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Text);
        using var one = Connect(client.Attached.HotSocketPath);
        using var other = Connect(client.Attached.HotSocketPath);
        var (asked, askedToo) = (Frame(5, Lookup(client.Session, "alice", Text)), Frame(6, Lookup(client.Session, "bob", Text)));
        for (var cut = 1; cut < Math.Min(asked.Length, askedToo.Length); cut += 7)
        {
            // Each call makes sure that what was sent before has been read.
            await one.SendAsync(asked.AsMemory(0, cut));
            await AskAsync(other, 1, Lookup(client.Session, "bob", Text));
            await other.SendAsync(askedToo.AsMemory(0, cut));
            await one.SendAsync(asked.AsMemory(cut));
            var (_, call, message) = await ReadAsync(one);
            Assert.Equal(5u, call);
            Assert.NotEmpty(Answer(message).Blocks);
            await other.SendAsync(askedToo.AsMemory(cut));
            (_, call, message) = await ReadAsync(other);
            Assert.Equal(6u, call);
            Assert.Empty(Answer(message).Blocks);
        }
    }

    [Fact]
    public async Task All_of_what_arrives_at_once_is_answered_also_when_the_sender_says_that_it_was_all()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Text);
        using var socket = Connect(client.Attached.HotSocketPath);
        // More than the server reads at a time, and a frame that is longer than that.
        var request = Lookup(client.Session, "alice", Text);
        var longer = Lookup(client.Session, "alice", Text + new string('x', 50_000));
        const uint Calls = 1_000;
        await using var answers = new NetworkStream(socket, ownsSocket: false);
        var sending = Task.Run(async () =>
        {
            for (var call = 0u; call < Calls; call++)
                await socket.SendAsync(Frame(call, call % 100 == 50 ? longer : request));
            socket.Shutdown(SocketShutdown.Send);
        });
        for (var call = 0u; call < Calls; call++)
        {
            var answer = await ReadAsync(answers).WaitAsync(TimeSpan.FromMinutes(1));
            Assert.Equal((HotMessages.Lookup, call), (answer.Kind, answer.Call));
        }

        await sending;
        // The server hangs up too once it has answered.
        Assert.Equal(0, await answers.ReadAsync(new byte[1]).AsTask().WaitAsync(TimeSpan.FromMinutes(1)));
    }

    [Fact]
    public async Task A_frame_that_arrives_in_pieces_is_one_frame()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Text);
        using var socket = Connect(client.Attached.HotSocketPath);
        var frame = Frame(3, Lookup(client.Session, "alice", Text));
        foreach (var piece in frame.Chunk(5))
            await socket.SendAsync(piece);
        // And two frames in one piece.
        await socket.SendAsync((byte[])[.. frame, .. frame]);
        for (var answer = 0; answer < 3; answer++)
            Assert.Equal(6, Answer((await ReadAsync(socket)).Message).Blocks.Count);
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
    public void A_lookup_is_read_as_it_was_written(uint[] tokens, NonNull<string> tenant, bool anonymous, uint wait)
    {
        var request = new LookupRequest { Session = "session", Tenant = Clean(tenant.Get), Anonymous = anonymous, WaitMilliseconds = wait };
        request.Tokens.AddRange(tokens);
        var read = HotMessages.ReadLookup(Frame(1, request).AsSpan(HotMessages.HeaderBytes));
        Assert.Equal((request.Session, request.Tenant, anonymous, wait), (Encoding.UTF8.GetString(read.Session), Encoding.UTF8.GetString(read.Tenant), read.IsAnonymous, read.WaitMilliseconds));
        Assert.Equal(tokens, read.Tokens.ToArray());
    }

    [Property(MaxTest = 300)]
    public void A_body_that_is_cut_or_broken_is_read_or_refused(byte[] body)
    {
        try
        {
            var read = HotMessages.ReadLookup(body);
            Assert.Equal(body.Length, 8 + read.Session.Length + read.Tenant.Length + (4 * read.Tokens.Length));
        }
        catch (MalformedFrameException)
        {
        }
    }

    [Property(MaxTest = 300)]
    public void An_answer_says_what_was_found(int[] slots, ulong lease, ushort staging)
    {
        SlotRef[] blocks = [.. slots.Select(slot => new SlotRef(slot & int.MaxValue, unchecked((ulong)slot)))];
        var output = new byte[1];
        var length = HotMessages.WriteAnswer(ref output, 5, lease, staging, blocks);
        var parsed = Answer(output[HotMessages.HeaderBytes..length]);
        Assert.Equal(blocks, parsed.Blocks.Select(slot => new SlotRef((int)slot.Index, slot.Generation)));
        Assert.Equal((lease.ToString("x16", null), (uint)staging), (parsed.Lease, parsed.StagingBlocks));
    }

    private static readonly Lazy<(TestServer Server, TestClient Client)> Shared = new(() =>
    {
        var server = TestServer.StartAsync().GetAwaiter().GetResult();
        return (server, server.Connect().AttachAsync().GetAwaiter().GetResult());
    });

    private static string Clean(string text) => new([.. text.Where(static character => !char.IsSurrogate(character))]);

    [Fact]
    public async Task A_lookup_of_the_same_request_is_no_other_use_of_what_it_finds()
    {
        await using var server = await TestServer.StartAsync(policy: """
            apiVersion: moebius.dev/v1alpha1
            kind: KVPrivacyPolicy
            metadata: {name: test}
            spec:
              classifier: {type: BuiltIn}
              promotion: {maxDelay: 1ms}
            """);
        using var client = await server.Connect().AttachAsync();
        const string harmless = "Explain how a motor works, in simple words.\n";
        await client.CacheAsync("alice", harmless);
        await server.ClassifiedAsync();
        using var socket = Connect(client.Attached.HotSocketPath);
        // One request of sixty-four choices, over both ways.
        for (var choice = 0; choice < 64; choice++)
        {
            var lookup = Lookup(client.Session, "bob", harmless);
            lookup.Again = choice > 0;
            var (_, _, message) = await AskAsync(socket, (uint)choice, lookup);
            Assert.Equal(harmless.Length / TestServer.BlockTokens, Answer(message).Blocks.Count);
            Assert.Equal(harmless.Length / TestServer.BlockTokens, (await client.LookupAsync("bob", harmless, again: true)).Blocks.Count);
        }

        Assert.Equal(0, server.Server.Metrics.ProbingVerdicts.Value);
        for (var request = 1; request < 20; request++)
            await client.HitsAsync("bob", harmless);
        Assert.Equal(1, server.Server.Metrics.ProbingVerdicts.Value);
    }

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
        await socket.SendAsync(Frame(call, request));
        return await ReadAsync(socket);
    }

    /// <summary>A lookup as the protocol's description has it.</summary>
    private static byte[] Frame(uint call, LookupRequest request)
    {
        var (session, tenant) = (Encoding.UTF8.GetBytes(request.Session), Encoding.UTF8.GetBytes(request.Tenant));
        using var body = new MemoryStream();
        using var writer = new BinaryWriter(body);
        writer.Write(5 + 8 + session.Length + tenant.Length + (4 * request.Tokens.Count));
        writer.Write((byte)4);
        writer.Write(call);
        writer.Write(request.WaitMilliseconds);
        writer.Write((byte)((request.Anonymous ? 1 : 0) | (request.Again ? 2 : 0)));
        writer.Write((byte)session.Length);
        writer.Write((ushort)tenant.Length);
        writer.Write(session);
        writer.Write(tenant);
        foreach (var token in request.Tokens)
            writer.Write(token);
        return body.ToArray();
    }

    private static byte[] Release(string session, string lease) =>
        [.. BitConverter.GetBytes(5 + 8 + session.Length), 5, 0, 0, 0, 0, .. BitConverter.GetBytes(ulong.Parse(lease, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)), .. Encoding.UTF8.GetBytes(session)];

    private static LookupResponse Answer(byte[] body)
    {
        using var reader = new BinaryReader(new MemoryStream(body));
        var answer = new LookupResponse { Lease = reader.ReadUInt64().ToString("x16", CultureInfo.InvariantCulture), StagingBlocks = reader.ReadUInt32() };
        while (reader.BaseStream.Position < body.Length)
            answer.Blocks.Add(new Slot { Index = reader.ReadUInt32(), Generation = reader.ReadUInt64() });
        return answer;
    }

    private static async Task<(byte Kind, uint Call, byte[] Message)> ReadAsync(Socket socket)
    {
        await using var stream = new NetworkStream(socket, ownsSocket: false);
        return await ReadAsync(stream);
    }

    private static async Task<(byte Kind, uint Call, byte[] Message)> ReadAsync(NetworkStream stream)
    {
        var header = new byte[HotMessages.HeaderBytes];
        await stream.ReadExactlyAsync(header);
        var message = new byte[BinaryPrimitives.ReadUInt32LittleEndian(header) - 5];
        await stream.ReadExactlyAsync(message);
        return (header[4], BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(5)), message);
    }
}
