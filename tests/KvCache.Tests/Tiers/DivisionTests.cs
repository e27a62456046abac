using Grpc.Core;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tests.Service;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>An engine comes whose blocks are of another size, so the arena is divided anew.</summary>
[Trait("Category", "Component")]
public sealed class DivisionTests
{
    private const string Text = "Where is my order, please? ";

    [Fact]
    public async Task Counters_go_on_with_a_new_division()
    {
        await using var server = await TestServer.StartAsync();
        using (var client = await server.Connect().AttachAsync())
        {
            await client.CacheBytesAsync("alice", Text);
            await client.Api.EvictAsync(new EvictRequest { Session = client.Session, Tenant = "alice" });
        }

        using var other = await AttachAsync(server);
        Assert.Equal((ulong)(Text.Length / TestServer.BlockTokens), (await other.Api.StatsAsync(new StatsRequest())).EvictedBlocks);
    }

    [Fact]
    public async Task An_engine_is_told_which_disk_does_not_end_its_copy()
    {
        var disk = new FaultyDisk();
        using var going = new ManualResetEventSlim();
        using var hanging = new ManualResetEventSlim();
        disk.Before = (call, _, _) =>
        {
            if (call != DiskCall.Write)
                return;
            hanging.Set();
            going.Wait();
        };
        await using var server = await TestServer.StartAsync(configure: (folder, options) => options with { SsdPath = Path.Combine(folder, "ssd"), SsdBytes = 1 << 20, EncryptionKeyPath = Key(folder), Disk = disk });
        try
        {
            using (var client = await server.Connect().AttachAsync())
            {
                await client.CacheBytesAsync("alice", Text);
                await Eventually.TrueAsync(() => hanging.IsSet);
            }

            var error = await Assert.ThrowsAsync<RpcException>(async () =>
            {
                using var other = await AttachAsync(server);
            });
            Assert.Equal(StatusCode.Unavailable, error.StatusCode);
            Assert.Contains($"the disk tier in '{Path.Combine(server.Folder, "ssd")}' has not ended a copy within {CacheStore.CopyPatience.TotalSeconds} seconds", error.Status.Detail, StringComparison.Ordinal);
        }
        finally
        {
            going.Set();
        }

        await server.CopiedAsync();
        using var late = await AttachAsync(server);
    }

    private static string Key(string folder)
    {
        var path = Path.Combine(folder, "key");
        File.WriteAllBytes(path, new byte[32]);
        return path;
    }

    /// <summary>Attaches once the engine before is known to be gone.</summary>
    private static async Task<TestClient> AttachAsync(TestServer server)
    {
        TestClient? client = null;
        await Eventually.TrueAsync(async () =>
        {
            client = server.Connect();
            try
            {
                await client.AttachAsync(blockBytes: 2 * TestServer.BlockBytes);
                return true;
            }
            catch (RpcException error)
            {
                client.Dispose();
                if (error.StatusCode != StatusCode.FailedPrecondition)
                    throw;
                return false;
            }
        }, "the engine before is gone");
        return client!;
    }
}
