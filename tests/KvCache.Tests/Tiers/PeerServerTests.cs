using System.Net;
using System.Net.Sockets;
using StackExchange.Redis;

namespace Moebius.KvCache.Tests.Tiers;

[Trait("Category", "Component")]
public sealed class PeerServerTests
{
    [Theory]
    [InlineData("redis-server")]
    [InlineData("valkey-server")]
    [InlineData("garnet-server")]
    public async Task A_port_that_has_been_taken_meanwhile_is_left_alone(string name)
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var taken = ((IPEndPoint)other.LocalEndpoint).Port;
        var given = new Queue<int>([taken, taken]);
        using var server = await PeerServer.StartAsync(name, () => given.TryDequeue(out var port) ? port : Moebius.KubernetesEnvironment.LoopbackPorts.Take());
        Assert.NotEqual(taken, server.Port);
        await using var connection = await ConnectionMultiplexer.ConnectAsync(server.Address);
        await connection.GetDatabase().PingAsync();
    }
}
