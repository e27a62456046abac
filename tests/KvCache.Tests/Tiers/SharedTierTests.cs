using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tests.Service;
using Moebius.KvCache.Tiers;
using StackExchange.Redis;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>Two sidecars, as in two pods, with a real server between them.</summary>
[Trait("Category", "Component")]
public sealed class SharedTierTests
{
    private const string SystemPrompt = "You are a helpful assistant in a shop. ";
    private const string Question = SystemPrompt + "Where is my order, please?";

    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(32);

    private static int DeclaredBlocks => SystemPrompt.Length / TestServer.BlockTokens;

    private static int AllBlocks => Question.Length / TestServer.BlockTokens;

    [Theory]
    [InlineData("redis-server", false)]
    [InlineData("redis-server", true)]
    [InlineData("valkey-server", true)]
    [InlineData("garnet-server", true)]
    public async Task Another_pod_finds_public_blocks_and_private_ones_only_if_the_policy_lets_them_out(string peer, bool sharePrivate)
    {
        using var redis = await PeerServer.StartAsync(peer);
        await using var one = await PodAsync(redis, sharePrivate);
        await using var two = await PodAsync(redis, sharePrivate);
        using var first = await one.Connect().AttachAsync();
        await first.CacheBytesAsync("alice", Question);
        await one.ClassifiedAsync();
        await one.CopiedAsync();

        using var second = await two.Connect().AttachAsync();
        Assert.Equal(DeclaredBlocks, await second.ReadsAsync("bob", Question));
        Assert.Equal(sharePrivate ? AllBlocks : DeclaredBlocks, await second.ReadsAsync("alice", Question));
        Assert.Equal(DeclaredBlocks, await second.ReadsAsync("bob", Question));
        await CheckKeysAsync(redis, sharePrivate);

        // Evicted by its tenant on one pod: gone for all that have not got it.
        await second.Api.EvictAsync(new EvictRequest { Session = second.Session, Tenant = "alice" });
        await WaitForKeysAsync(redis, DeclaredBlocks);
    }

    [Fact]
    public async Task An_outage_leaves_the_pod_to_itself_and_ends()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var one = await PodAsync(redis, sharePrivate: false);
        await using var two = await PodAsync(redis, sharePrivate: false);
        using var first = await one.Connect().AttachAsync();
        redis.Kill();
        await first.CacheBytesAsync("alice", Question);
        await one.ClassifiedAsync();
        await one.CopiedAsync();
        // Every answer comes, from what the pod has itself.
        for (var round = 0; round < 5; round++)
        {
            Assert.Equal(DeclaredBlocks, await first.ReadsAsync("bob", Question));
            Assert.Equal(0, await first.ReadsAsync("bob", $"{round}23456789"));
        }

        Assert.Contains("shared: not available, retried", one.Server.Store.TierStates);

        await redis.StartAsync();
        using var second = await two.Connect().AttachAsync();
        for (var patience = 0; await second.ReadsAsync("carol", Question) < DeclaredBlocks; patience++)
        {
            Assert.True(patience < 300, "the tier does not come back");
            // A commit on the first pod is what brings the blocks over.
            await first.CacheBytesAsync("alice", $"{SystemPrompt}{patience:0000} and more");
            await one.ClassifiedAsync();
            await one.CopiedAsync();
            await Task.Delay(100);
        }
    }

    [Fact]
    public async Task What_is_taken_back_while_the_server_is_away_goes_when_it_is_there_again()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var tier = SharedTier.Open(new SharedTierOptions { Address = redis.Address }, new TierMetrics(Prometheus.Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance);
        await Eventually.TrueAsync(() => tier.IsAvailable);
        redis.Kill();
        await Eventually.TrueAsync(() => !tier.IsAvailable);
        var tenant = new TenantKey(1, 2);
        var block = new TierBlock(new BlockId(1, 2, 3, 4), default, tenant, null, 0);
        var (publicKey, privateKey) = (SharedTier.KeyOf(block with { Reason = new PublicReason("shop") }), SharedTier.KeyOf(block));
        tier.Forget([block.Id]);
        tier.ForgetTenant(tenant);

        // A server with persistence, or a replica that takes over, still has them.
        await redis.StartAsync();
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        var database = connection.GetDatabase();
        await database.StringSetAsync([new(publicKey, "x"), new(privateKey, "x"), new("another", "x")]);
        await Eventually.TrueAsync(() => tier.IsAvailable);
        await Eventually.TrueAsync(async () =>
        {
            await tier.RemoveAsync();
            return await database.KeyExistsAsync([publicKey, privateKey]) == 0;
        }, "both are taken away");
        Assert.True(await database.KeyExistsAsync("another"));
    }

    [Fact]
    public async Task What_an_older_policy_had_made_public_gives_way_to_what_is_public_under_this_one()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var tier = SharedTier.Open(new SharedTierOptions { Address = redis.Address }, new TierMetrics(Prometheus.Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance);
        await Eventually.TrueAsync(() => tier.IsAvailable);
        var (old, other, now) = (Reason('1'), Reason('2'), Reason('3'));
        var block = new TierBlock(new BlockId(1, 2, 3, 4), default, default, old, 0);
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        Assert.Equal(old, await WrittenAsync(old, old));
        // Of two that this policy would take, the one that is there stays.
        Assert.Equal(old, await WrittenAsync(other, old, other));
        Assert.Equal(now, await WrittenAsync(now, now));
        await connection.GetDatabase().StringSetAsync(SharedTier.KeyOf(block), "damaged");
        Assert.Equal(now, await WrittenAsync(now, now));

        async Task<PublicReason?> WrittenAsync(PublicReason reason, params PublicReason[] held)
        {
            await tier.WriteAsync([block with { Reason = reason }], static _ => null, static _ => true, held.Contains, static _ => new byte[100], (TimeSpan.FromHours(1), TimeSpan.FromHours(1)), CancellationToken.None);
            return SegmentRecord.Decode((byte[])(await connection.GetDatabase().StringGetAsync(SharedTier.KeyOf(block)))!)?.Block.Reason;
        }

        static PublicReason Reason(char digit) => new(null, IsCleared: true, new string(digit, 64));
    }

    [Fact]
    public async Task A_damaged_value_is_not_served_and_a_foreign_one_neither()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using (var one = await PodAsync(redis, sharePrivate: false))
        {
            using var first = await one.Connect().AttachAsync();
            await first.CacheBytesAsync("alice", Question);
            await one.ClassifiedAsync();
            await one.CopiedAsync();
        }

        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        var database = connection.GetDatabase();
        var keys = connection.GetServers().Single().Keys(pattern: "moebius:*").ToArray();
        Assert.Equal(DeclaredBlocks, keys.Length);
        var (third, fourth) = (KeyOf(2), KeyOf(3));
        var value = (byte[])(await database.StringGetAsync(third))!;
        value[^5] ^= 1;
        await database.StringSetAsync(third, value);
        await using (var two = await PodAsync(redis, sharePrivate: false))
        {
            using var second = await two.Connect().AttachAsync();
            Assert.Equal(2, await second.ReadsAsync("bob", Question));
        }

        // Another block's value, whole, under this block's key.
        await database.StringSetAsync(third, await database.StringGetAsync(fourth));
        await using var three = await PodAsync(redis, sharePrivate: false);
        using var another = await three.Connect().AttachAsync();
        Assert.Equal(2, await another.ReadsAsync("bob", Question));
    }

    /// <param name="ahead">Minutes by which the clock of the pod that writes is ahead of the other's.</param>
    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(-10)]
    public async Task What_follows_a_probed_entry_is_not_taken_when_the_entry_is_public_anew_and_is_when_it_is_written_anew(int ahead)
    {
        const string First = "Explain how a motor works, in simple words.\n";
        const string Both = First + "Summarize the history of tea in two sentences.\n\n";
        const string Watched = "classifier: {type: BuiltIn}\n  monitor: {minHits: 10}";
        const int FirstBlocks = 44 / TestServer.BlockTokens;
        const int AllBlocks = 92 / TestServer.BlockTokens;
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var one = await PodAsync(redis, sharePrivate: false, Watched, time: new Ahead(TimeSpan.FromMinutes(ahead)));
        await using var two = await PodAsync(redis, sharePrivate: false, Watched);
        using var first = await one.Connect().AttachAsync();
        await first.CacheBytesAsync("alice", Both);
        await one.ClassifiedAsync();
        await one.CopiedAsync();
        await WaitForKeysAsync(redis, AllBlocks);

        // Only the beginning is in this pod when it is taken back.
        using var second = await two.Connect().AttachAsync();
        Assert.Equal(FirstBlocks, await second.ReadsAsync("mallory", First));
        for (var hit = 0; hit < 15; hit++)
            await second.HitsAsync("mallory", First);
        await WaitForKeysAsync(redis, AllBlocks - FirstBlocks);

        await second.CacheBytesAsync("carol", First);
        await two.ClassifiedAsync();
        Assert.Equal(FirstBlocks, await second.ReadsAsync("bob", First));
        Assert.Equal(FirstBlocks, await second.ReadsAsync("carol", Both));
        await two.CopiedAsync();
        await WaitForKeysAsync(redis, FirstBlocks);

        await first.CacheBytesAsync("dave", Both + "The ");
        await one.ClassifiedAsync();
        await one.CopiedAsync();
        await WaitForKeysAsync(redis, AllBlocks);
        Assert.Equal(AllBlocks, await second.ReadsAsync("carol", Both));
    }

    [Theory]
    [InlineData("mode: Isolate", false, 0)]
    [InlineData("mode: SafeKV", false, 0)]
    [InlineData("mode: SafeKV", true, 1)]
    [InlineData("classifier: {type: BuiltIn}", false, 1)]
    [InlineData("mode: Share", false, 1)]
    [InlineData("publicPrefixes: [{name: a, text: 'Once upon a time'}]", false, 1)]
    public async Task The_server_is_asked_only_for_what_it_can_have(string spec, bool sharePrivate, int asked)
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var pod = await PodAsync(redis, sharePrivate, spec, declares: false);
        using var client = await pod.Connect().AttachAsync();
        // The client library has asked for something of its own.
        var before = await GetsAsync(redis);
        Assert.Equal(0, await client.ReadsAsync("alice", Question));
        Assert.Equal(asked, Math.Min(1, await GetsAsync(redis) - before));
    }

    [Fact]
    public async Task Without_the_key_nobody_can_tell_which_text_a_public_block_is_of()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var pod = await PodAsync(redis, sharePrivate: false);
        using var client = await pod.Connect().AttachAsync();
        await client.CacheBytesAsync("alice", Question);
        await pod.ClassifiedAsync();
        await pod.CopiedAsync();
        await WaitForKeysAsync(redis, DeclaredBlocks);
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        var model = new KvCache.Index.ModelKey(Convert.ToHexStringLower(SHA256.HashData("model"u8)), TestServer.BlockTokens, TestServer.BlockBytes);
        var chain = BlockChain.Of(model, [.. TestClient.Tokens(Question)]);
        Assert.False(await connection.GetDatabase().KeyExistsAsync(SharedTier.KeyOf(new TierBlock(chain.Public(0), chain.Model, default, SsdHarness.Declared, 0))));
    }

    [Fact]
    public async Task What_comes_from_another_pod_knows_its_tenant_whose_own_reuse_is_no_probing()
    {
        const string Prompt = "Explain how a motor works, in simple words.\n";
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var one = await PodAsync(redis, sharePrivate: false, "classifier: {type: BuiltIn}");
        await using var two = await PodAsync(redis, sharePrivate: false, "classifier: {type: BuiltIn}");
        using var first = await one.Connect().AttachAsync();
        await first.CacheBytesAsync("alice", Prompt);
        await one.ClassifiedAsync();
        await one.CopiedAsync();
        await WaitForKeysAsync(redis, Prompt.Length / TestServer.BlockTokens);
        using var second = await two.Connect().AttachAsync();
        for (var hit = 0; hit < 50; hit++)
            Assert.Equal(Prompt.Length / TestServer.BlockTokens, await second.ReadsAsync("alice", Prompt));
        Assert.Equal(0, two.Server.Metrics.ProbingVerdicts.Value);
    }

    [Fact]
    public async Task A_verdict_reaches_what_another_pod_has_from_before_it()
    {
        const string Rule = "rules: {custom: [{name: order, pattern: my order}]}";
        using var redis = await PeerServer.StartAsync("redis-server");
        await using (var one = await PodAsync(redis, sharePrivate: true, "mode: Isolate", declares: false))
        {
            using var client = await one.Connect().AttachAsync();
            // Where nothing is shared, nothing is judged.
            await client.CacheBytesAsync("alice", Question);
            await one.CopiedAsync();
            await WaitForKeysAsync(redis, AllBlocks);
        }

        await using (var two = await PodAsync(redis, sharePrivate: true, Rule, declares: false))
        {
            using var client = await two.Connect().AttachAsync();
            Assert.Equal(AllBlocks, await client.ReadsAsync("alice", Question));
            await client.CacheBytesAsync("alice", Question + " It is late.");
            await two.ClassifiedAsync();
            // What is copied with the next commit has its verdict, however long that took.
            await client.CacheBytesAsync("alice", Question + " It is late. Please hurry.");
            await two.ClassifiedAsync();
            await two.CopiedAsync();
        }

        await using var three = await PodAsync(redis, sharePrivate: true, $"publicPrefixes: [{{name: shop, text: '{Question}'}}]", declares: false);
        using var last = await three.Connect().AttachAsync();
        Assert.Equal(AllBlocks, await last.ReadsAsync("alice", Question));
        await last.CacheBytesAsync("alice", Question + " Or is it not sent yet?");
        await three.ClassifiedAsync();
        Assert.Equal(0, await last.HitsAsync("bob", Question));
    }

    private static async Task<int> GetsAsync(PeerServer redis)
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address + ",allowAdmin=true,tiebreaker=");
        var gets = (await connection.GetServers().Single().InfoAsync("commandstats")).SelectMany(static group => group).FirstOrDefault(static entry => entry.Key == "cmdstat_get").Value;
        return gets is null ? 0 : int.Parse(gets.Split(',')[0]["calls=".Length..], System.Globalization.CultureInfo.InvariantCulture);
    }

    private static string KeyOf(int block)
    {
        var model = new KvCache.Index.ModelKey(Convert.ToHexStringLower(SHA256.HashData("model"u8)), TestServer.BlockTokens, TestServer.BlockBytes);
        var chain = BlockChain.Of(model, [.. TestClient.Tokens(Question)], new MasterSecret(Key));
        return SharedTier.KeyOf(new TierBlock(chain.Public(block), chain.Model, default, SsdHarness.Declared, block));
    }

    private static async Task CheckKeysAsync(PeerServer redis, bool sharePrivate)
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        var keys = connection.GetServers().Single().Keys(pattern: "*").Select(static key => key.ToString()).ToArray();
        Assert.Equal(DeclaredBlocks, keys.Count(static key => key.StartsWith("moebius:kv:1:p:", StringComparison.Ordinal)));
        // A verdict that comes later than the writer waits finds the declared blocks there as private ones already.
        Assert.InRange(keys.Count(static key => key.StartsWith("moebius:kv:1:t:", StringComparison.Ordinal)), sharePrivate ? AllBlocks - DeclaredBlocks : 0, sharePrivate ? AllBlocks : 0);
        Assert.All(keys, static key => Assert.DoesNotContain("alice", key, StringComparison.Ordinal));
        Assert.All(keys, key => Assert.True(connection.GetDatabase().KeyTimeToLive(key) > TimeSpan.Zero));
        // The last block is private: its bytes must not lie there as they are.
        var last = TestClient.BytesOf(Question[..(AllBlocks * TestServer.BlockTokens)]).AsSpan(0, 32).ToArray();
        Assert.All(keys, key => Assert.Equal(-1, ((byte[])connection.GetDatabase().StringGet(key)!).AsSpan().IndexOf(last)));
    }

    private static async Task WaitForKeysAsync(PeerServer redis, int count)
    {
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        await Eventually.TrueAsync(() => connection.GetServers().Single().Keys(pattern: "moebius:*").Count() == count);
    }

    private static async Task<TestServer> PodAsync(PeerServer redis, bool sharePrivate, string more = "", bool declares = true, TimeProvider? time = null)
    {
        var declared = declares ? $"publicPrefixes: [{{name: shop, text: '{SystemPrompt}'}}]" : "";
        var pod = await TestServer.StartAsync(
            slots: 128,
            time: time,
            policy: $$"""
            apiVersion: moebius.dev/v1alpha1
            kind: KVPrivacyPolicy
            metadata:
              name: test
            spec:
              {{more}}
              {{declared}}
              promotion:
                maxDelay: 1ms
              encryption:
                secretRef: {name: a, key: b}
                sharePrivate: {{(sharePrivate ? "true" : "false")}}
            """,
            configure: (folder, options) =>
            {
                var key = Path.Combine(folder, "key");
                File.WriteAllBytes(key, Key);
                return options with { EncryptionKeyPath = key, Shared = new SharedTierOptions { Address = redis.Address, Timeout = TimeSpan.FromSeconds(5) } };
            });
        await Eventually.TrueAsync(() => !pod.Server.Store.TierStates.Any());
        return pod;
    }

    private sealed class Ahead(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
