using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tests.Service;
using Moebius.KvCache.Tiers;
using StackExchange.Redis;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>Evictions while blocks are copied to and from the tier between pods; one of all leaves that alone.</summary>
[Trait("Category", "Component")]
public sealed class SharedEvictionTests
{
    private const string Prompt = "You are a helpful assistant in a shop. ";
    private const string Question = Prompt + "Where is my order, please?";
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(32);

    private static int AllBlocks => Question.Length / TestServer.BlockTokens;

    [Fact]
    public async Task What_is_being_written_leaves_the_pod_and_what_has_been_stays_in_the_server()
    {
        const string Other = "Something else of another tenant.";
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var held = new HeldServer(redis);
        await using var pod = await PodAsync(held.Address);
        using var release = held.Releasing();
        using var client = await pod.Connect().AttachAsync();
        var writing = held.Hold("SET");
        await client.CacheBytesAsync("alice", Question);
        await pod.ClassifiedAsync();
        await Eventually.EndsAsync(writing);
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        var left = await client.Api.StatsAsync(new StatsRequest { Session = client.Session });
        var looking = held.Hold("SCAN");
        held.Release();
        await pod.CopiedAsync();

        // What the pod sent to the server has arrived before the answers to what it sends next.
        await client.CacheBytesAsync("bob", Other);
        await pod.ClassifiedAsync();
        await pod.CopiedAsync();
        Assert.False(looking.IsCompleted, "the pod looks for a tenant's blocks in the server");
        Assert.Equal((0u, 0u), ((uint)left.BlocksPublic, (uint)left.BlocksPrivate));
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        // Blocks are written in lots of eight: what was not sent when all was evicted is not sent any more.
        Assert.Equal(8 + (Other.Length / TestServer.BlockTokens), connection.GetServers().Single().Keys(pattern: "moebius:*").Count());
    }

    [Fact]
    public async Task What_is_being_staged_does_not_stay_in_the_pod()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using (var one = await PodAsync(redis.Address))
        {
            using var first = await one.Connect().AttachAsync();
            await first.CacheBytesAsync("alice", Question);
            await one.ClassifiedAsync();
            await one.CopiedAsync();
        }

        await using var held = new HeldServer(redis);
        await using var pod = await PodAsync(held.Address);
        using var release = held.Releasing();
        using var client = await pod.Connect().AttachAsync();
        var reading = held.Hold("GET");
        Assert.Equal(0, await client.HitsAsync("bob", Question));
        await Eventually.EndsAsync(reading);
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        held.Release();
        await pod.CopiedAsync();
        var left = await client.Api.StatsAsync(new StatsRequest { Session = client.Session });
        Assert.Equal((0u, 0u), ((uint)left.BlocksPublic, (uint)left.BlocksPrivate));

        // Bob had asked for something that was there.
        Assert.Equal(Prompt.Length / TestServer.BlockTokens, await client.ReadsAsync("bob", Question));
    }

    [Fact]
    public async Task A_tenants_blocks_are_not_taken_from_a_server_that_has_not_removed_them_yet()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var pod = await PodAsync(redis.Address);
        using var client = await pod.Connect().AttachAsync();
        await client.CacheBytesAsync("alice", Question);
        await pod.ClassifiedAsync();
        await pod.CopiedAsync();
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address + ",allowAdmin=true");
        var server = connection.GetServers().Single();
        // The server does not let itself be looked through.
        await server.ExecuteAsync("ACL", "SETUSER", "default", "-scan");
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session, Tenant = "alice" });
        Assert.Equal(Prompt.Length / TestServer.BlockTokens, await client.ReadsAsync("alice", Question));

        // What is committed anew goes there, and with the rest when the server can be looked through.
        await server.ExecuteAsync("ACL", "SETUSER", "default", "+scan");
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session, Tenant = "alice" });
        await Eventually.TrueAsync(() => !server.Keys(pattern: "moebius:kv:1:t:*").Any());
        await client.CacheBytesAsync("alice", Question);
        await pod.CopiedAsync();
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        Assert.Equal(AllBlocks, await client.ReadsAsync("alice", Question));
    }

    [Fact]
    public async Task Nothing_more_of_a_tenant_is_written_to_the_server_after_its_eviction()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var held = new HeldServer(redis);
        await using var pod = await PodAsync(held.Address);
        using var release = held.Releasing();
        using var client = await pod.Connect().AttachAsync();
        var asking = held.Hold("EXPIRE");
        await client.CacheBytesAsync("alice", "Nobody else may ever read this.");
        await pod.ClassifiedAsync();
        await Eventually.EndsAsync(asking);
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session, Tenant = "alice" });
        held.Release();
        await pod.CopiedAsync();
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address + ",allowAdmin=true");
        var commands = (await connection.GetServers().Single().InfoAsync("commandstats")).SelectMany(static group => group).Select(static entry => entry.Key).ToArray();
        Assert.Contains("cmdstat_expire", commands);
        Assert.DoesNotContain("cmdstat_set", commands);
    }

    [Fact]
    public async Task A_tenant_is_not_forgotten_by_a_server_that_only_follows_another()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using (var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address + ",allowAdmin=true"))
            await connection.GetServers().Single().ExecuteAsync("REPLICAOF", "127.0.0.1", "1");
        await using var tier = SharedTier.Open(
            new SharedTierOptions { Address = redis.Address, Timeout = TimeSpan.FromMinutes(1) }, new TierMetrics(Prometheus.Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance);
        await Eventually.TrueAsync(() => tier.IsAvailable);
        tier.ForgetTenant(new TenantKey(1, 2));
        await tier.RemoveAsync();
        Assert.True(tier.IsForgetting(new TenantKey(1, 2)));
    }

    private static async Task<TestServer> PodAsync(string address)
    {
        var pod = await TestServer.StartAsync(
            slots: 128,
            policy: $$"""
            apiVersion: moebius.dev/v1alpha1
            kind: KVPrivacyPolicy
            metadata:
              name: test
            spec:
              publicPrefixes: [{name: shop, text: '{{Prompt}}'}]
              promotion:
                maxDelay: 1ms
              encryption:
                secretRef: {name: a, key: b}
                sharePrivate: true
            """,
            configure: (folder, options) =>
            {
                var key = Path.Combine(folder, "key");
                File.WriteAllBytes(key, Key);
                return options with { EncryptionKeyPath = key, Shared = new SharedTierOptions { Address = address, Timeout = TimeSpan.FromMinutes(1) } };
            });
        await Eventually.TrueAsync(() => !pod.Server.Store.TierStates.Any());
        return pod;
    }
}
