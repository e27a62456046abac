using System.Security.Cryptography;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Tests.Service;
using Moebius.KvCache.Tiers;
using StackExchange.Redis;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>An eviction of all while blocks are copied to and from the tier between pods, which is left alone.</summary>
[Trait("Category", "Component")]
public sealed class SharedEvictionTests
{
    private const string Prompt = "You are a helpful assistant in a shop. ";
    private const string Question = Prompt + "Where is my order, please?";
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(32);

    private static int AllBlocks => Question.Length / TestServer.BlockTokens;

    [Fact]
    public async Task What_is_being_written_leaves_the_pod_and_stays_in_the_server()
    {
        using var redis = await PeerServer.StartAsync("redis-server");
        await using var held = new HeldServer(redis);
        await using var pod = await PodAsync(held.Address);
        using var release = held.Releasing();
        using var client = await pod.Connect().AttachAsync();
        var writing = held.Hold("EXPIRE");
        await client.CacheBytesAsync("alice", Question);
        await pod.ClassifiedAsync();
        await Eventually.EndsAsync(writing);
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        var looking = held.Hold("SCAN");
        held.Release();
        await pod.CopiedAsync();
        var left = await client.Api.StatsAsync(new StatsRequest { Session = client.Session });

        // What the pod sent to the server has arrived before the answers to what it sends next.
        await client.CacheBytesAsync("bob", "Something else of another tenant.");
        await pod.ClassifiedAsync();
        await pod.CopiedAsync();
        Assert.False(looking.IsCompleted, "the pod looks for a tenant's blocks in the server");
        Assert.Equal((0u, 0u), ((uint)left.BlocksPublic, (uint)left.BlocksPrivate));
        await using var connection = await ConnectionMultiplexer.ConnectAsync(redis.Address);
        Assert.True(connection.GetServers().Single().Keys(pattern: "moebius:*").Count() >= AllBlocks);
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
