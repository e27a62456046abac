using System.Security.Cryptography;
using Moebius.KvCache.Tests.Service;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>What was taken back because it was probed, and what of it is on disk.</summary>
[Trait("Category", "Component")]
public sealed class ProbedOnDiskTests
{
    private const string First = "Explain how a motor works, in simple words.\n";
    private const string Both = First + "Summarize the history of tea in two sentences.\n\n";

    private const string Policy = """
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata:
          name: test
        spec:
          classifier: {type: BuiltIn}
          monitor: {minHits: 10}
          promotion: {maxDelay: 1ms}
        """;

    private static int FirstBlocks => First.Length / TestServer.BlockTokens;

    private static int AllBlocks => Both.Length / TestServer.BlockTokens;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_follows_it_does_not_come_back_when_it_is_public_anew_and_is_stored_afresh(bool withKey)
    {
        await using var server = await StartAsync(withKey);
        using (var client = await server.Connect().AttachAsync())
            await CacheAsync(server, client, "alice", Both);
        await server.RestartAsync();

        using (var client = await server.Connect().AttachAsync())
        {
            // Only the beginning is in the arena when it is taken back.
            Assert.Equal(FirstBlocks, await client.ReadsAsync("mallory", First));
            for (var hit = 0; hit < 15; hit++)
                await client.HitsAsync("mallory", First);
            Assert.Equal(0, await client.ReadsAsync("bob", First));

            // Another of the prober's accounts commits what was guessed.
            await CacheAsync(server, client, "carol", First);
            Assert.Equal(FirstBlocks, await client.ReadsAsync("bob", First));
            Assert.Equal(0u, (await client.LookupAsync("carol", Both)).StagingBlocks);
            Assert.Equal(FirstBlocks, await client.ReadsAsync("carol", Both));

            // Where its tenant is known, it is private for good; without a key nobody knows whose it was.
            await CacheAsync(server, client, "alice", Both);
            Assert.Equal(withKey ? FirstBlocks : AllBlocks, await client.ReadsAsync("bob", Both));
        }

        // What was probed is remembered until a restart.
        await server.RestartAsync();
        using (var client = await server.Connect().AttachAsync())
            Assert.Equal(AllBlocks, await client.ReadsAsync("bob", Both));
    }

    [Fact]
    public async Task What_comes_back_knows_its_tenant_whose_own_reuse_is_no_probing()
    {
        await using var server = await StartAsync(withKey: true);
        using (var client = await server.Connect().AttachAsync())
            await CacheAsync(server, client, "alice", First);
        await server.RestartAsync();

        using (var client = await server.Connect().AttachAsync())
        {
            for (var hit = 0; hit < 50; hit++)
                Assert.Equal(FirstBlocks, await client.ReadsAsync("alice", First));
            Assert.Equal(0, server.Server.Metrics.ProbingVerdicts.Value);
            Assert.Equal(FirstBlocks, await client.ReadsAsync("bob", First));
        }
    }

    [Fact]
    public async Task What_comes_back_and_is_taken_back_is_its_tenants_again()
    {
        await using var server = await StartAsync(withKey: true);
        using (var client = await server.Connect().AttachAsync())
            await CacheAsync(server, client, "alice", First);
        await server.RestartAsync();

        using (var client = await server.Connect().AttachAsync())
        {
            for (var hit = 0; hit < 15; hit++)
                await client.ReadsAsync("mallory", First);
            Assert.Equal(1, server.Server.Metrics.ProbingVerdicts.Value);
            Assert.Equal((0, FirstBlocks), (await client.ReadsAsync("bob", First), await client.HitsAsync("alice", First)));
        }
    }

    [Fact]
    public async Task A_lookup_that_waits_counts_once()
    {
        await using var server = await StartAsync(withKey: true, Policy.Replace("{minHits: 10}", "{minHits: 3, reuseDiversityPercent: 100}", StringComparison.Ordinal));
        using (var client = await server.Connect().AttachAsync())
            await CacheAsync(server, client, "alice", Both);
        await server.RestartAsync();

        using (var client = await server.Connect().AttachAsync())
        {
            Assert.Equal(FirstBlocks, await client.ReadsAsync("bob", First));
            // The first of it is there at once, the rest is waited for.
            Assert.Equal(AllBlocks, await client.ReadsAsync("bob", Both));
            Assert.Equal(0, server.Server.Metrics.ProbingVerdicts.Value);
            Assert.Equal(FirstBlocks, await client.ReadsAsync("bob", First));
            Assert.Equal(1, server.Server.Metrics.ProbingVerdicts.Value);
        }
    }

    private static Task<TestServer> StartAsync(bool withKey, string policy = Policy) => TestServer.StartAsync(
        slots: 128,
        policy,
        configure: (folder, options) =>
        {
            var key = Path.Combine(folder, "key");
            File.WriteAllBytes(key, RandomNumberGenerator.GetBytes(32));
            return options with { SsdPath = Path.Combine(folder, "ssd"), SsdBytes = 16 << 20, EncryptionKeyPath = withKey ? key : null };
        });

    private static async Task CacheAsync(TestServer server, TestClient client, string tenant, string text)
    {
        await client.CacheBytesAsync(tenant, text);
        await server.ClassifiedAsync();
        await server.CopiedAsync();
    }
}
