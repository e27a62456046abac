using Microsoft.Extensions.Logging.Abstractions;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tests.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class StagerTests
{
    [Fact]
    public async Task A_staging_that_cannot_begin_keeps_nobody_waiting()
    {
        using var ssd = new SsdHarness();
        var index = new IndexHarness(4);
        var tokens = IndexHarness.Tokens("ab");
        var chain = BlockChain.Of(index.Root.Model, tokens);
        var secret = SsdHarness.Master.Tenant("alice");
        Assert.True(ssd.Write(new TierBlock(chain.Private(0, secret), chain.Model, SsdHarness.Owner("alice"), null, 0), "alice"));

        Stager? stager = null;
        Staging? second = null;
        var job = new TierJob(null!, index.Root, SsdHarness.Owner("alice"), secret, tokens, View.OwnOnly);
        // Between its announcement and its beginning, another request for the same blocks joins it; then the arena has been divided anew.
        var context = new TierContext(null!, () => null!, _ =>
        {
            second = stager!.Begin(job, index.Root.Keys(tokens), 0, endsPublic: false);
            return false;
        }, _ => { });
        var metrics = new TierMetrics(Prometheus.Metrics.NewCustomRegistry());
        await using var writer = new TierWriter(context, ssd.Tier, null, metrics, TimeProvider.System, NullLogger.Instance);
        stager = new Stager(context, ssd.Tier, null, writer, metrics, NullLogger.Instance);

        Assert.Null(stager.Begin(job, index.Root.Keys(tokens), 0, endsPublic: false));
        Assert.NotNull(second);
        Assert.True(second.Done.IsCompletedSuccessfully);
        Assert.Equal(0, stager.Running);
    }
}
