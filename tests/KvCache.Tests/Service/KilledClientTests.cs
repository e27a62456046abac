using System.Diagnostics;
using Moebius.Kvcache.V1;

namespace Moebius.KvCache.Tests.Service;

[Trait("Category", "Component")]
public sealed class KilledClientTests
{
    [Fact]
    public async Task What_a_killed_engine_leased_and_reserved_is_reclaimed()
    {
        await using var server = await TestServer.StartAsync(slots: 16);
        using var engine = StartEngine(server.Options.SocketPath);
        Assert.Equal("holding", await engine.StandardOutput.ReadLineAsync());
        using var client = await server.Connect().AttachAsync();
        var before = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal((4ul, 9u), (before.BlocksPrivate, before.SlotsFree));

        engine.Kill();
        await engine.WaitForExitAsync();
        await Eventually.TrueAsync(() => server.Server.Metrics.SessionsReclaimed.Value >= 1);

        // The reserved slots are free, and the cached blocks are still there; were they pinned, an eviction would not free their slots.
        var after = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal((4ul, 12u), (after.BlocksPrivate, after.SlotsFree));
        await client.Api.EvictAsync(new EvictRequest { Session = client.Session });
        Assert.Equal(16u, (await client.Api.StatsAsync(new StatsRequest())).SlotsFree);
    }

    /// <summary>The engine's life: lease, reserve, say so, and wait to be killed.</summary>
    internal static async Task HoldAsync(string socket)
    {
        using var client = await new TestClient(socket).AttachAsync();
        await client.CacheAsync("alice", "0123456789abcdef");
        await client.LookupAsync("alice", "0123456789abcdef");
        await client.ReserveAsync("alice", 3);
        await Console.Out.WriteLineAsync("holding");
        await Task.Delay(Timeout.Infinite);
    }

    private static Process StartEngine(string socket)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardOutput = true,
        };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
            start.ArgumentList.Add(typeof(KilledClientTests).Assembly.Location);
        start.ArgumentList.Add(Program.EngineArgument);
        start.ArgumentList.Add(socket);
        return Process.Start(start)!;
    }
}
