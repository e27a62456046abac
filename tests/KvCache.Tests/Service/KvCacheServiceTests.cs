using Google.Protobuf;
using Grpc.Core;
using Moebius.Kvcache.V1;

namespace Moebius.KvCache.Tests.Service;

[Trait("Category", "Component")]
public sealed class KvCacheServiceTests
{
    private const string SystemPrompt = "You are a helpful assistant in a shop. ";

    private const string PolicyWithPrefix = $"""
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata:
          name: test
          generation: 3
        spec:
          publicPrefixes:
          - name: shop
            text: "{SystemPrompt}"
          promotion:
            maxDelay: 1ms
        """;

    [Fact]
    public async Task A_tenant_finds_its_own_blocks_and_no_other_tenant_does()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        const string text = "once upon a time there was";
        Assert.Equal(6u, (await client.CacheAsync("alice", text)).CachedBlocks);
        await server.ClassifiedAsync();

        Assert.Equal(6, await client.HitsAsync("alice", text));
        Assert.Equal(5, await client.HitsAsync("alice", "once upon a time there is another"));
        Assert.Equal(0, await client.HitsAsync("bob", text));
        Assert.Equal(0, await client.HitsAsync("alice", text, anonymous: true));
    }

    [Fact]
    public async Task Equal_private_blocks_of_two_tenants_take_two_slots()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", "the same text");
        await client.CacheAsync("bob", "the same text");
        Assert.Equal(6ul, (await client.Api.StatsAsync(new StatsRequest())).BlocksPrivate);
    }

    [Fact]
    public async Task A_declared_prefix_becomes_public_and_what_follows_stays_private()
    {
        await using var server = await TestServer.StartAsync(policy: PolicyWithPrefix);
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", SystemPrompt + "Where is my order, please?");
        await server.ClassifiedAsync();

        var declared = SystemPrompt.Length / TestServer.BlockTokens;
        Assert.Equal(declared, await client.HitsAsync("bob", SystemPrompt + "Where is my order, please?"));
        Assert.Equal(16, await client.HitsAsync("alice", SystemPrompt + "Where is my order, please?"));
        Assert.Equal(declared, await client.HitsAsync("x", SystemPrompt + "anything", anonymous: true));
        Assert.Equal(3, (await client.Api.StatsAsync(new StatsRequest())).PolicyGeneration);
    }

    [Theory]
    [InlineData("")]
    [InlineData("? No more of it.")]
    public async Task A_declared_prefix_that_is_not_whole_stays_private(string after)
    {
        await using var server = await TestServer.StartAsync(policy: PolicyWithPrefix);
        using var client = await server.Connect().AttachAsync();
        var text = SystemPrompt[..^1] + after;
        await client.CacheAsync("carol", text);
        await server.ClassifiedAsync();
        Assert.Equal((0, text.Length / TestServer.BlockTokens), (await client.HitsAsync("bob", text), await client.HitsAsync("carol", text)));
    }

    [Fact]
    public async Task A_second_copy_of_a_public_block_is_merged_into_it()
    {
        await using var server = await TestServer.StartAsync(policy: PolicyWithPrefix);
        using var client = await server.Connect().AttachAsync();
        var text = SystemPrompt + "tail";
        var blocks = text.Length / TestServer.BlockTokens;
        var declared = SystemPrompt.Length / TestServer.BlockTokens;
        // Both compute before either is classified.
        var first = await client.ReserveAsync("alice", blocks);
        var second = await client.ReserveAsync("bob", blocks);
        await client.Api.CommitAsync(client.Commit("alice", text[..(blocks * 4)], 0, first));
        await client.Api.CommitAsync(client.Commit("bob", text[..(blocks * 4)], 0, second));
        await server.ClassifiedAsync();

        var stats = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal((ulong)declared, stats.BlocksPublic);
        Assert.Equal(2ul * (ulong)(blocks - declared), stats.BlocksPrivate);
        Assert.Equal(stats.SlotsTotal - stats.SlotsFree, stats.BlocksPublic + stats.BlocksPrivate);
        Assert.Equal(blocks, await client.HitsAsync("bob", text));
    }

    [Fact]
    public async Task Private_blocks_of_an_anonymous_request_are_not_kept()
    {
        await using var server = await TestServer.StartAsync(policy: PolicyWithPrefix);
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("7f1", SystemPrompt + "I am nobody in particular", anonymous: true);
        await server.ClassifiedAsync();

        var stats = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal(0ul, stats.BlocksPrivate);
        Assert.Equal((ulong)(SystemPrompt.Length / TestServer.BlockTokens), stats.BlocksPublic);
        Assert.Equal(stats.SlotsTotal - stats.SlotsFree, stats.BlocksPublic);
    }

    [Fact]
    public async Task Where_nothing_is_shared_a_declared_prefix_of_an_anonymous_request_is_not_kept_either()
    {
        await using var server = await TestServer.StartAsync(policy: PolicyWithPrefix.Replace("spec:", "spec:\n  mode: Isolate", StringComparison.Ordinal));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("7f1", SystemPrompt + "I am nobody in particular", anonymous: true);
        var stats = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal((0ul, 0ul), (stats.BlocksPrivate, stats.BlocksPublic));
        await client.CacheAsync("alice", SystemPrompt);
        Assert.Equal(0, await client.HitsAsync("bob", SystemPrompt));
        Assert.Equal(SystemPrompt.Length / TestServer.BlockTokens, await client.HitsAsync("alice", SystemPrompt));
    }

    [Fact]
    public async Task A_miss_and_somebody_elses_block_look_the_same()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", "only alice knows");
        var theirs = await client.LookupAsync("bob", "only alice knows");
        var nobodys = await client.LookupAsync("bob", "no one knows this");
        Assert.NotEmpty(theirs.Lease);
        Assert.Equal(theirs.CalculateSize(), nobodys.CalculateSize());
        Assert.Empty(theirs.Blocks);
    }

    [Fact]
    public async Task A_slot_is_committed_once()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        var slots = await client.ReserveAsync("alice", 2);
        await client.Api.CommitAsync(client.Commit("alice", "12345678", 0, slots));
        await FailsAsync(StatusCode.FailedPrecondition, "not reserved", () => client.Api.CommitAsync(client.Commit("alice", "12345678", 0, slots)));
        Assert.Equal(2, await client.HitsAsync("alice", "12345678"));
    }

    [Fact]
    public async Task A_released_slot_cannot_be_committed()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        var slots = await client.ReserveAsync("alice", 1);
        var release = new ReleaseRequest { Session = client.Session };
        release.Slots.AddRange(slots);
        await client.Api.ReleaseAsync(release);
        await FailsAsync(StatusCode.FailedPrecondition, "not reserved", () => client.Api.CommitAsync(client.Commit("alice", "1234", 0, slots)));
        await FailsAsync(StatusCode.FailedPrecondition, "not reserved", () => client.Api.ReleaseAsync(release));
    }

    [Fact]
    public async Task A_stale_generation_is_refused_and_the_rest_of_the_commit_with_it()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        var slots = await client.ReserveAsync("alice", 2);
        var stale = slots.Select(slot => new Slot(slot)).ToList();
        stale[1].Generation--;
        await FailsAsync(StatusCode.FailedPrecondition, "slots[1]", () => client.Api.CommitAsync(client.Commit("alice", "12345678", 0, stale)));
        Assert.Equal(2u, (await client.Api.CommitAsync(client.Commit("alice", "12345678", 0, slots))).CachedBlocks);
    }

    [Fact]
    public async Task A_reused_slot_has_a_new_generation_in_the_answer_and_in_the_arena()
    {
        await using var server = await TestServer.StartAsync(slots: 1);
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", "1234");
        var held = await client.LookupAsync("alice", "1234");
        var old = held.Blocks.Single();
        Assert.Equal(old.Generation, ReadGeneration(client.Attached, old.Index));
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session, Tenant = "alice" });
        // Leased: gone from the index, not yet reused.
        Assert.Equal(0, await client.HitsAsync("alice", "1234"));
        Assert.Empty(await client.ReserveAsync("bob", 1));
        await client.Api.ReleaseAsync(new ReleaseRequest { Session = client.Session, Lease = held.Lease });
        var reused = (await client.ReserveAsync("bob", 1)).Single();
        Assert.True(reused.Generation > old.Generation);
        Assert.Equal(reused.Generation, ReadGeneration(client.Attached, old.Index));
    }

    [Fact]
    public async Task Requests_that_make_no_sense_name_the_field()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        var slot = (await client.ReserveAsync("alice", 1)).Single();
        var outside = new Slot { Index = 1_000_000, Generation = 1 };
        await FailsAsync(StatusCode.InvalidArgument, "slots[0].index: 1000000 is outside", () => client.Api.CommitAsync(client.Commit("alice", "1234", 0, [outside])));
        await FailsAsync(StatusCode.InvalidArgument, "slots[0].index: 4294967295", () => client.Api.CommitAsync(client.Commit("alice", "1234", 0, [new Slot { Index = uint.MaxValue }])));
        await FailsAsync(StatusCode.InvalidArgument, "tokens:", () => client.Api.CommitAsync(client.Commit("alice", "12345", 0, [slot])));
        await FailsAsync(StatusCode.InvalidArgument, "slots: empty", () => client.Api.CommitAsync(client.Commit("alice", "1234", 1, [])));
        var wrongText = client.Commit("alice", "1234", 0, [slot]);
        wrongText.Text = ByteString.CopyFromUtf8("12345");
        await FailsAsync(StatusCode.InvalidArgument, "token_bytes:", () => client.Api.CommitAsync(wrongText));
        await FailsAsync(StatusCode.InvalidArgument, "tenant: empty", async () => await client.HitsAsync("", "1234"));
        await FailsAsync(StatusCode.InvalidArgument, "count: 0", async () => await client.ReserveAsync("alice", 0));
        await FailsAsync(StatusCode.InvalidArgument, "count: 65", async () => await client.ReserveAsync("alice", 65));
        await FailsAsync(StatusCode.NotFound, "session:", () => client.Api.LookupAsync(new LookupRequest { Session = "x", Tenant = "a" }));
        await FailsAsync(StatusCode.FailedPrecondition, "protocol_version: 2", () => client.Api.AttachAsync(new AttachRequest { ProtocolVersion = 2 }));
        await FailsAsync(StatusCode.InvalidArgument, "fingerprint: 0 bytes", () => client.Api.AttachAsync(new AttachRequest { ProtocolVersion = 1 }));
        await FailsAsync(StatusCode.InvalidArgument, "block_tokens: 0", async () => await client.AttachAsync(blockTokens: 0));
        await FailsAsync(
            StatusCode.InvalidArgument,
            $"block_bytes: 1073741824, but kvCache.memory (--arena-size) of {server.Options.ArenaBytes} bytes cannot hold one such block: one takes 1073741832, and a prompt one for every 4 tokens",
            async () => await client.AttachAsync(blockBytes: 1 << 30));
        await FailsAsync(StatusCode.InvalidArgument, "block_bytes: 18446744073709551615, but kvCache.memory", async () => await client.AttachAsync(blockBytes: ulong.MaxValue));
        await FailsAsync(StatusCode.InvalidArgument, "block_bytes: 0", async () => await client.AttachAsync(blockBytes: 0));
        await FailsAsync(StatusCode.FailedPrecondition, "block_bytes:", async () => await client.AttachAsync(blockBytes: 8192));
        // The slot survived all of it.
        Assert.Equal(1u, (await client.Api.CommitAsync(client.Commit("alice", "1234", 0, [slot]))).CachedBlocks);
    }

    [Fact]
    public async Task Models_do_not_share_blocks()
    {
        await using var server = await TestServer.StartAsync();
        using var one = await server.Connect().AttachAsync("one");
        using var two = await server.Connect().AttachAsync("two");
        await one.CacheAsync("alice", "the same text");
        Assert.Equal(3, await one.HitsAsync("alice", "the same text"));
        Assert.Equal(0, await two.HitsAsync("alice", "the same text"));
    }

    [Fact]
    public async Task A_commit_whose_beginning_was_evicted_is_dropped_without_an_error()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", "12345678");
        var slots = await client.ReserveAsync("alice", 1);
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        Assert.Equal(0u, (await client.Api.CommitAsync(client.Commit("alice", "12345678abcd", 2, slots))).CachedBlocks);
        var stats = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal(stats.SlotsTotal, stats.SlotsFree);
    }

    [Fact]
    public async Task A_second_server_on_the_same_socket_is_refused_and_a_stale_socket_is_taken_over()
    {
        await using var server = await TestServer.StartAsync();
        var taken = server.Options with { ArenaPath = server.Options.ArenaPath + "2" };
        var refused = await Assert.ThrowsAsync<Crds.UserInputException>(() => KvCache.Service.KvCacheServer.StartAsync(taken, TimeProvider.System, CancellationToken.None));
        Assert.Contains("another server is listening", refused.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(taken.ArenaPath));

        var stale = Path.Combine(server.Folder, "stale");
        using (var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0))
            socket.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(stale));
        var bound = taken with { SocketPath = stale };
        await using (await KvCache.Service.KvCacheServer.StartAsync(bound, TimeProvider.System, CancellationToken.None))
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite, File.GetUnixFileMode(stale));
        Assert.False(File.Exists(stale));
        Assert.False(File.Exists(bound.ArenaPath));
    }

    [Fact]
    public async Task An_arena_that_does_not_fit_names_both_sizes()
    {
        var folder = Directory.CreateTempSubdirectory("kvcache-").FullName;
        var error = await Assert.ThrowsAsync<Crds.UserInputException>(() => KvCache.Service.KvCacheServer.StartAsync(
            new KvCache.Service.ServerOptions { SocketPath = Path.Combine(folder, "s"), ArenaPath = Path.Combine(folder, "a"), ArenaBytes = 1L << 50 },
            TimeProvider.System,
            CancellationToken.None));
        Assert.Matches("--arena-size: 1 PiB does not fit: .* has .* free", error.Message);
        Directory.Delete(folder, recursive: true);
    }

    private static ulong ReadGeneration(AttachResponse attached, uint slot)
    {
        using var file = new FileStream(attached.ArenaPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        file.Position = (long)attached.GenerationTableOffset + (slot * sizeof(ulong));
        using var reader = new BinaryReader(file);
        return reader.ReadUInt64();
    }

    private static Task FailsAsync<T>(StatusCode code, string contains, Func<AsyncUnaryCall<T>> call) =>
        FailsAsync(code, contains, async () => await call());

    private static async Task FailsAsync(StatusCode code, string contains, Func<Task> call)
    {
        var error = await Assert.ThrowsAsync<RpcException>(call);
        Assert.Equal(code, error.StatusCode);
        Assert.Contains(contains, error.Status.Detail, StringComparison.Ordinal);
    }
}
