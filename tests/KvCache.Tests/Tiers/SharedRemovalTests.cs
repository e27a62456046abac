using Microsoft.Extensions.Logging.Abstractions;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tiers;
using StackExchange.Redis;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>What is taken away from the tier between pods while something else is being taken away.</summary>
[Trait("Category", "Component")]
public sealed class SharedRemovalTests
{
    private static readonly TenantKey Alice = new(1, 2);
    private static readonly BlockId Name = new(1, 2, 3, 4);

    private static string PrivateKey => SharedTier.KeyOf(new TierBlock(Name, default, Alice, null, 0));

    private static string PublicKey => SharedTier.KeyOf(new TierBlock(Name, default, default, new PublicReason("shop"), 0));

    [Fact]
    public async Task A_tenant_that_is_evicted_again_while_its_keys_are_looked_for_is_looked_for_again()
    {
        await using var setup = await Setup.StartAsync();
        var (held, tier, database) = (setup.Held, setup.Tier, setup.Connection.GetDatabase());

        var looking = held.Hold("SCAN");
        tier.ForgetTenant(Alice);
        await Eventually.EndsAsync(looking);
        // The server has answered when it takes the next one: what a copy writes from here on, the answer does not name.
        await ScannedAsync(setup.Connection);
        await database.StringSetAsync(PrivateKey, "x");
        tier.ForgetTenant(Alice);
        held.Release();
        await Eventually.TrueAsync(async () => !await database.KeyExistsAsync(PrivateKey));
    }

    [Fact]
    public async Task A_name_that_is_written_and_taken_back_again_while_it_is_deleted_is_deleted_again()
    {
        await using var setup = await Setup.StartAsync();
        var (held, tier, database) = (setup.Held, setup.Tier, setup.Connection.GetDatabase());
        await database.StringSetAsync(PublicKey, "x");

        var deleting = held.Hold("UNLINK");
        tier.Forget([Name]);
        await Eventually.EndsAsync(deleting);
        await Eventually.TrueAsync(async () => !await database.KeyExistsAsync(PublicKey));
        await database.StringSetAsync(PublicKey, "x");
        tier.Forget([Name]);
        held.Release();
        await Eventually.TrueAsync(async () => !await database.KeyExistsAsync(PublicKey));
    }

    [Fact]
    public async Task A_public_name_does_not_wait_for_the_keys_of_a_tenant()
    {
        await using var setup = await Setup.StartAsync();
        var (held, tier, database) = (setup.Held, setup.Tier, setup.Connection.GetDatabase());
        await database.StringSetAsync(PublicKey, "x");

        var looking = held.Hold("SCAN");
        tier.ForgetTenant(Alice);
        await Eventually.EndsAsync(looking);
        tier.Forget([Name]);
        await Eventually.TrueAsync(async () => !await database.KeyExistsAsync(PublicKey));
        held.Release();
    }

    private static async Task ScannedAsync(ConnectionMultiplexer connection) => await Eventually.TrueAsync(async () =>
        (await connection.GetServers().Single().InfoAsync("commandstats")).SelectMany(static group => group).Any(static entry => entry.Key == "cmdstat_scan"));

    /// <summary>The tier of a pod whose server's answers can be kept back, and a way to the server past that.</summary>
    private sealed record Setup(PeerServer Redis, HeldServer Held, SharedTier Tier, ConnectionMultiplexer Connection) : IAsyncDisposable
    {
        public static async Task<Setup> StartAsync()
        {
            var redis = await PeerServer.StartAsync("redis-server");
            var held = new HeldServer(redis);
            var tier = SharedTier.Open(
                new SharedTierOptions { Address = held.Address, Timeout = TimeSpan.FromMinutes(1) }, new TierMetrics(Prometheus.Metrics.NewCustomRegistry()), TimeProvider.System, NullLogger.Instance);
            var setup = new Setup(redis, held, tier, await ConnectionMultiplexer.ConnectAsync(redis.Address + ",allowAdmin=true"));
            try
            {
                await Eventually.TrueAsync(() => tier.IsAvailable);
                return setup;
            }
            catch
            {
                await setup.DisposeAsync();
                throw;
            }
        }

        public async ValueTask DisposeAsync()
        {
            await Connection.DisposeAsync();
            // After a test that failed before it did: a client waits for its answers when it is closed.
            Held.Release();
            await Tier.DisposeAsync();
            await Held.DisposeAsync();
            Redis.Dispose();
        }
    }
}
