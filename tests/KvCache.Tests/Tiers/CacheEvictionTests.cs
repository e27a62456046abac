using Grpc.Core;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>What an eviction answers when the disk fails or hangs.</summary>
[Trait("Category", "Component")]
public sealed class CacheEvictionTests : IAsyncDisposable
{
    private readonly FaultyDisk _disk = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly SsdHarness _ssd;
    private readonly CacheStore _store;
    private readonly string _session;

    public CacheEvictionTests()
    {
        _ssd = new SsdHarness(disk: _disk);
        var metrics = new CacheMetrics();
        var policy = new PolicySource(null, metrics, NullLogger.Instance, new TierFactory("", null, metrics, _time));
        var arena = ArenaFile.Create(_ssd.Folder + ".arena", 1 << 16);
        _store = new CacheStore(arena, policy, null, metrics, _time, NullLogger.Instance, _ssd.Tier, null, SsdHarness.Master);
        _session = _store.Attach(CacheStore.ProtocolVersion, new byte[32], 1, 1, "test").Id;
        var block = SsdHarness.Block("a", "alice") with { Model = BlockChain.NameOf(_store.Session(_session).Root.Model) };
        Assert.True(_ssd.Write(block, "alice"));
    }

    [Fact]
    public async Task Says_where_it_failed_and_that_it_can_be_asked_for_again()
    {
        _disk.Fails = static (_, _) => true;
        var error = await Assert.ThrowsAsync<CacheException>(() => _store.EvictAsync(_session, "alice", CancellationToken.None));
        Assert.Equal(StatusCode.Unavailable, error.Code);
        Assert.StartsWith($"nothing of it is found any more, but some may be after a restart: the disk tier in '{_ssd.Folder}' did not erase it: ", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(": call Evict again until it is", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("alice", error.Message, StringComparison.Ordinal);
        Assert.Contains(_store.TierStates, static line => line.StartsWith("ssd: serving, not admitting: what was dropped is not erased yet: ", StringComparison.Ordinal));

        // Before it is asked for again, by itself.
        _disk.Heal();
        _store.Maintain();
        await Eventually.TrueAsync(() => !_store.TierStates.Any());
        Assert.Equal(0, await _store.EvictAsync(_session, "alice", CancellationToken.None));
    }

    [Fact]
    public async Task Does_not_wait_for_ever_and_is_not_done_before_the_disk_is()
    {
        using var going = new ManualResetEventSlim();
        _disk.Before = (_, _, _) => going.Wait();
        try
        {
            var evicting = _store.EvictAsync(_session, "alice", CancellationToken.None);
            // At once, whatever the disk does.
            Assert.True(_ssd.Tier.IsEmpty);
            Assert.False(evicting.IsCompleted);
            _time.Advance(TierSet.ErasurePatience);
            var error = await Assert.ThrowsAsync<CacheException>(() => Eventually.EndsAsync(evicting));
            Assert.Equal(StatusCode.Unavailable, error.Code);
            Assert.Contains($"the disk tier in '{_ssd.Folder}' has not erased it within 10 seconds", error.Message, StringComparison.Ordinal);

            using var over = new CancellationTokenSource();
            var again = _store.EvictAsync(_session, "alice", over.Token);
            await over.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Eventually.EndsAsync(again));
        }
        finally
        {
            going.Set();
        }

        Assert.Equal(0, await Eventually.EndsAsync(_store.EvictAsync(_session, "alice", CancellationToken.None)));
    }

    public async ValueTask DisposeAsync()
    {
        _disk.Heal();
        await _store.DisposeAsync();
        File.Delete(_ssd.Folder + ".arena");
        _ssd.Dispose();
    }
}
