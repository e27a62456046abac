using System.Security.Cryptography;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Tests.Service;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>The SSD tier behind a real server: what survives a restart or eviction, and for whom.</summary>
[Trait("Category", "Component")]
public sealed class SsdServiceTests
{
    private const string SystemPrompt = "You are a helpful assistant in a shop. ";
    private const string Question = SystemPrompt + "Where is my order, please?";
    private const string PolicyHead = """
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata:
          name: test
        spec:
          promotion:
            maxDelay: 1ms
        """;

    private const string PolicyWithPrefix = $"""
        {PolicyHead}
          publicPrefixes:
          - name: shop
            text: "{SystemPrompt}"
        """;

    private static int DeclaredBlocks => SystemPrompt.Length / TestServer.BlockTokens;

    private static int AllBlocks => Question.Length / TestServer.BlockTokens;

    [Fact]
    public async Task After_a_restart_a_tenant_finds_its_blocks_and_others_find_the_public_ones()
    {
        await using var server = await StartAsync();
        await CacheQuestionAsync(server);
        await server.RestartAsync();

        using var client = await server.Connect().AttachAsync();
        Assert.Equal(DeclaredBlocks, await client.ReadsAsync("bob", Question));
        Assert.Equal(DeclaredBlocks, await client.ReadsAsync("x", Question, anonymous: true));
        Assert.Equal(AllBlocks, await client.ReadsAsync("alice", Question));
        // Staged for Alice, and still hers alone.
        Assert.Equal(DeclaredBlocks, await client.ReadsAsync("bob", Question));
        using var other = await server.Connect().AttachAsync("another model");
        Assert.Equal(0, await other.ReadsAsync("alice", Question));
    }

    [Fact]
    public async Task A_lookup_that_does_not_wait_says_what_is_coming_and_to_strangers_nothing()
    {
        await using var server = await StartAsync();
        await CacheQuestionAsync(server);
        await server.RestartAsync();
        using var client = await server.Connect().AttachAsync();
        var stranger = await client.LookupAsync("bob", "Where is my order, please?");
        var nobodys = await client.LookupAsync("bob", "Where is my other, please?");
        Assert.Equal(0u, stranger.StagingBlocks);
        Assert.Equal(nobodys.CalculateSize(), stranger.CalculateSize());
        var first = await client.LookupAsync("alice", Question);
        Assert.Equal((0, (uint)AllBlocks), (first.Blocks.Count, first.StagingBlocks));
        await server.CopiedAsync();
        Assert.Equal(AllBlocks, await client.HitsAsync("alice", Question));
    }

    [Fact]
    public async Task What_was_staged_undecided_is_promoted_when_its_tenant_goes_on_and_what_was_judged_is_not()
    {
        const string Secret = "Mail me: jane.roe@example.org, any time.";
        await using var server = await StartAsync(slots: 128, policy: PolicyHead);
        await CacheQuestionAsync(server);
        using (var client = await server.Connect().AttachAsync())
            await client.CacheBytesAsync("alice", Secret);
        await server.ClassifiedAsync();
        await server.CopiedAsync();
        await server.RestartAsync(() => File.WriteAllText(server.Options.PolicyPath!, PolicyWithPrefix));

        using (var client = await server.Connect().AttachAsync())
        {
            Assert.Equal(AllBlocks, await client.ReadsAsync("alice", Question));
            Assert.Equal(Secret.Length / TestServer.BlockTokens, await client.ReadsAsync("alice", Secret));
            // Staged as it was: private, until the text comes again with a commit.
            Assert.Equal(0, await client.ReadsAsync("bob", Question));
            await client.CacheBytesAsync("alice", Question + " I bought it on Monday.");
            await client.CacheBytesAsync("alice", Secret + " Or call me at home.");
            await server.ClassifiedAsync();
            Assert.Equal(DeclaredBlocks, await client.ReadsAsync("bob", Question));
            Assert.Equal(0, await client.ReadsAsync("bob", Secret));
            await server.CopiedAsync();
        }

        // Public on disk too, from now on.
        await server.RestartAsync();
        using (var client = await server.Connect().AttachAsync())
            Assert.Equal(DeclaredBlocks, await client.ReadsAsync("bob", Question));
    }

    [Fact]
    public async Task What_a_policy_takes_back_on_the_disk_alone_does_not_return_when_another_allows_it()
    {
        await using var server = await StartAsync();
        await CacheQuestionAsync(server);
        await server.RestartAsync();
        foreach (var policy in new[] { PolicyHead, PolicyWithPrefix })
        {
            await File.WriteAllTextAsync(server.Options.PolicyPath!, policy);
            server.Server.Policy.Poll();
        }

        using var client = await server.Connect().AttachAsync();
        Assert.Equal(0, await client.ReadsAsync("bob", Question));
    }

    [Fact]
    public async Task A_verdict_reaches_what_was_stored_before_it_and_outlives_the_rule_that_gave_it()
    {
        const string Rule = "\n  rules: {custom: [{name: order, pattern: my order}]}";
        await using var server = await StartAsync(policy: PolicyHead + Rule + "\n  mode: Isolate");
        using (var client = await server.Connect().AttachAsync())
        {
            // Where nothing is shared, nothing is judged.
            await client.CacheBytesAsync("alice", Question);
            await server.CopiedAsync();
            await File.WriteAllTextAsync(server.Options.PolicyPath!, PolicyHead + Rule);
            server.Server.Policy.Poll();
            await client.CacheBytesAsync("alice", Question + " It is late.");
            await server.ClassifiedAsync();
            // What is copied with the next commit has its verdict, however long that took.
            await client.CacheBytesAsync("alice", Question + " It is late. Please hurry.");
            await server.ClassifiedAsync();
            await server.CopiedAsync();
        }

        await server.RestartAsync(() => File.WriteAllText(server.Options.PolicyPath!, PolicyHead + $"\n  publicPrefixes: [{{name: shop, text: '{Question}'}}]"));
        using (var client = await server.Connect().AttachAsync())
        {
            Assert.Equal(AllBlocks, await client.ReadsAsync("alice", Question));
            await client.CacheBytesAsync("alice", Question + " Or is it not sent yet?");
            await server.ClassifiedAsync();
            Assert.Equal(0, await client.HitsAsync("bob", Question));
        }
    }

    [Fact]
    public async Task A_verdict_that_comes_after_the_copy_reaches_the_disk_without_another_commit()
    {
        var late = PolicyHead.Replace("1ms", "1s", StringComparison.Ordinal) + "\n  rules: {custom: [{name: order, pattern: my order}]}";
        await using var server = await StartAsync(policy: late);
        await CacheQuestionAsync(server);
        await server.RestartAsync(() => File.WriteAllText(server.Options.PolicyPath!, PolicyHead + $"\n  publicPrefixes: [{{name: shop, text: '{Question}'}}]"));
        using var client = await server.Connect().AttachAsync();
        Assert.Equal(AllBlocks, await client.ReadsAsync("alice", Question));
        await client.CacheBytesAsync("alice", Question + " Or is it not sent yet?");
        await server.ClassifiedAsync();
        Assert.Equal(0, await client.HitsAsync("bob", Question));
    }

    [Fact]
    public async Task What_is_stored_before_its_verdict_is_sealed_and_its_tenants_alone_until_it_is_judged()
    {
        const string Secret = "Mail me: jane.roe@example.org, any time.\n";
        // The verdict does not come before the end.
        var slow = PolicyHead.Replace("1ms", "60s", StringComparison.Ordinal) + "\n  classifier: {type: BuiltIn}";
        await using var server = await StartAsync(slots: 128, policy: slow);
        using (var client = await server.Connect().AttachAsync())
        {
            await client.CacheBytesAsync("alice", Secret);
            await server.CopiedAsync();
        }

        await server.RestartAsync(() =>
        {
            var stored = Directory.GetFiles(server.Options.SsdPath!).SelectMany(File.ReadAllBytes).ToArray().AsSpan();
            for (var block = 1; block <= Secret.Length / TestServer.BlockTokens; block++)
                Assert.Equal(-1, stored.IndexOf(TestClient.BytesOf(Secret[..(block * TestServer.BlockTokens)]).AsSpan(0, 32)));
            File.WriteAllText(server.Options.PolicyPath!, slow.Replace("60s", "1ms", StringComparison.Ordinal));
        });

        using (var client = await server.Connect().AttachAsync())
        {
            Assert.Equal(0, await client.ReadsAsync("bob", Secret));
            Assert.Equal(Secret.Length / TestServer.BlockTokens, await client.ReadsAsync("alice", Secret));
            await client.CacheBytesAsync("alice", Secret + "Thank you.\n");
            await server.ClassifiedAsync();
            Assert.Equal(0, await client.ReadsAsync("bob", Secret));
        }
    }

    [Fact]
    public async Task What_an_anonymous_request_leaves_private_is_not_stored()
    {
        // Not judged before it is copied.
        await using var server = await StartAsync(policy: PolicyHead.Replace("1ms", "60s", StringComparison.Ordinal) + "\n  classifier: {type: BuiltIn}");
        using (var client = await server.Connect().AttachAsync())
        {
            await client.CacheBytesAsync("7f1", "My name is Marianne Oldfield and I need help.\n", anonymous: true);
            await server.CopiedAsync();
        }

        await server.RestartAsync();
        using (var client = await server.Connect().AttachAsync())
            Assert.Equal(0, await client.ReadsAsync("7f1", "My name is Marianne Oldfield and I need help.\n", anonymous: true));
    }

    [Fact]
    public async Task Without_a_key_only_public_blocks_are_stored()
    {
        await using var server = await StartAsync(withKey: false);
        await CacheQuestionAsync(server);
        await server.RestartAsync();
        using var client = await server.Connect().AttachAsync();
        Assert.Equal(DeclaredBlocks, await client.ReadsAsync("alice", Question));
    }

    [Fact]
    public async Task What_the_arena_evicts_comes_back_from_the_disk()
    {
        await using var server = await StartAsync(slots: 24);
        using var client = await server.Connect().AttachAsync();
        await client.CacheBytesAsync("alice", "aaaabbbbccccdddd");
        await server.CopiedAsync();
        for (var round = 0; round < 6; round++)
        {
            await client.CacheBytesAsync("alice", $"{round}111222233334444");
            await server.CopiedAsync();
        }

        Assert.Equal(0, await client.HitsAsync("alice", "aaaabbbbccccdddd") / 4);
        await server.CopiedAsync();
        Assert.Equal(4, await client.ReadsAsync("alice", "aaaabbbbccccdddd"));
    }

    [Fact]
    public async Task What_the_policy_takes_back_or_a_tenant_evicts_does_not_return()
    {
        await using var server = await StartAsync();
        await CacheQuestionAsync(server);
        await File.WriteAllTextAsync(server.Options.PolicyPath!, PolicyHead);
        server.Server.Policy.Poll();
        using (var client = await server.Connect().AttachAsync())
            Assert.Equal(0, await client.ReadsAsync("bob", Question));
        await server.RestartAsync();
        using (var client = await server.Connect().AttachAsync())
        {
            Assert.Equal(0, await client.ReadsAsync("bob", Question));
            await client.Api.EvictAsync(new EvictRequest { Session = client.Session, Tenant = "alice" });
        }

        await server.RestartAsync();
        using (var client = await server.Connect().AttachAsync())
            Assert.Equal(0, await client.ReadsAsync("alice", Question));
    }

    [Fact]
    public async Task A_damaged_block_ends_the_prefix_before_it()
    {
        // All public at once: no verdict decides what the disk has first.
        await using var server = await StartAsync(policy: PolicyHead + "\n  mode: Share");
        await CacheQuestionAsync(server);
        await server.RestartAsync(() =>
        {
            using var file = new FileStream(Directory.GetFiles(server.Options.SsdPath!, "*.data").Single(), FileMode.Open);
            file.Position = (3 * TestServer.BlockBytes) + 17;
            var value = file.ReadByte();
            file.Position--;
            file.WriteByte((byte)(value ^ 4));
        });
        using var client = await server.Connect().AttachAsync();
        Assert.Equal(3, await client.ReadsAsync("alice", Question));
        // The slots that were taken for the rest are free again.
        var stats = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal(stats.SlotsTotal - stats.SlotsFree, stats.BlocksPublic + stats.BlocksPrivate);
    }

    [Theory]
    [InlineData("--ssd-size: 10 bytes, must be at least", "10")]
    [InlineData("--ssd-size: missing", null)]
    public void Sizes_that_make_no_sense_are_refused(string message, string? size)
    {
        var error = Assert.Throws<Crds.UserInputException>(() => Commands.ServeCommand.Options(
            "s", "a", "1Mi", null, null, null, new Commands.ServeCommand.TierArguments("/tmp/x", size, null, null)));
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_that_nothing_is_encrypted_with_is_refused()
    {
        var error = Assert.Throws<Crds.UserInputException>(() => Commands.ServeCommand.Options(
            "s", "a", "1Mi", null, null, null, new Commands.ServeCommand.TierArguments(null, null, "/tmp/key", null)));
        Assert.StartsWith("--encryption-key: has no effect without a tier outside the arena: ", error.Message, StringComparison.Ordinal);
        Assert.Equal("/tmp/key", Commands.ServeCommand.Options("s", "a", "1Mi", null, null, null, new Commands.ServeCommand.TierArguments(null, null, "/tmp/key", "valkey:6379")).EncryptionKeyPath);
    }

    [Fact]
    public void A_key_that_is_too_short_is_refused()
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, "short");
        var error = Assert.Throws<Crds.UserInputException>(() => KvCache.Tiers.MasterSecret.Load(path));
        Assert.Equal($"--encryption-key: '{path}' holds 5 bytes, must hold at least 32 random ones", error.Message);
        File.Delete(path);
    }

    private static async Task CacheQuestionAsync(TestServer server)
    {
        using var client = await server.Connect().AttachAsync();
        Assert.Equal((uint)AllBlocks, (await client.CacheBytesAsync("alice", Question)).CachedBlocks);
        await server.ClassifiedAsync();
        await server.CopiedAsync();
    }

    private static Task<TestServer> StartAsync(bool withKey = true, int slots = 64, string policy = PolicyWithPrefix) => TestServer.StartAsync(slots, policy, configure: (folder, options) =>
    {
        var key = Path.Combine(folder, "key");
        File.WriteAllBytes(key, RandomNumberGenerator.GetBytes(32));
        return options with { SsdPath = Path.Combine(folder, "ssd"), SsdBytes = 16 << 20, EncryptionKeyPath = withKey ? key : null };
    });

    [Fact]
    public async Task What_is_evicted_while_it_is_copied_does_not_come_back()
    {
        await using var server = await StartAsync();
        using var client = await server.Connect().AttachAsync();
        // The eviction comes now before, now in the midst of and now after the copy.
        for (var round = 0; round < 24; round++)
        {
            var text = $"{round:00} {new string('x', (50 * TestServer.BlockTokens) - 3)}";
            await client.CacheBytesAsync("alice", text);
            await Task.Delay(TierWriter.Settle + TimeSpan.FromMilliseconds(round - 4), TestContext.Current.CancellationToken);
            await client.Api.EvictAsync(new EvictRequest { Session = client.Session, Tenant = "alice" });
            await server.CopiedAsync();
            Assert.Equal(0, await client.ReadsAsync("alice", text));
        }
    }
}
