using StackExchange.Redis;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>The same with a server between pods, which answers late.</summary>
[Trait("Category", "Component")]
public sealed class SharedEvictionProperties : IAsyncLifetime
{
    private PeerServer? _redis;

    public async ValueTask InitializeAsync() => _redis = await PeerServer.StartAsync("redis-server");

    public ValueTask DisposeAsync()
    {
        _redis?.Dispose();
        return ValueTask.CompletedTask;
    }

    [Property(Arbitrary = [typeof(EvictionProperties)], MaxTest = 60)]
    public void Nothing_comes_back_from_the_server_or_stays_in_it(EvictionProperties.Step[] steps)
    {
        using var connection = ConnectionMultiplexer.Connect(_redis!.Address + ",allowAdmin=true");
        connection.GetServers().Single().FlushAllDatabases();
        var held = new HeldServer(_redis);
        try
        {
            using var world = new EvictionWorld(held.Address);
            using var release = held.Releasing();
            EvictionProperties.Run(world, [.. steps, new(EvictionProperties.Verb.Settle, 0, "a", 0)], held);
            for (var tenant = 0; tenant < EvictionProperties.Tenants; tenant++)
                world.CheckServer(tenant, key => connection.GetDatabase().StringGet(key));
        }
        finally
        {
            held.DisposeAsync().AsTask().Wait();
        }
    }
}
