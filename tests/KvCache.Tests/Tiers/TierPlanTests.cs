using Moebius.KvCache.Index;
using Moebius.KvCache.Tests.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class TierPlanTests
{
    // A letter a block: p public and stored, o the tenant's own, b both, - neither.
    [Theory]
    [InlineData("ppoo", "ppoo")]
    [InlineData("pbbo", "pppo")]
    [InlineData("bbob", "ppoo")]
    [InlineData("opp", "o")]
    [InlineData("pp-p", "pp")]
    [InlineData("-p", "")]
    [InlineData("ppoo", "", true)]
    [InlineData("bboob", "ooooo", true)]
    [InlineData("ppoo", "", false, false)]
    [InlineData("bobp", "ooo", false, false)]
    public void A_public_block_is_taken_only_behind_public_ones_by_who_may_see_them(string stored, string taken, bool ownOnly = false, bool endsPublic = true)
    {
        var model = new ModelKey("model", IndexHarness.BlockTokens, 1);
        var chain = BlockChain.Of(model, IndexHarness.Tokens("before" + stored));
        var secret = SsdHarness.Master.Tenant("alice");
        var from = "before".Length;
        var entries = new Dictionary<BlockId, SsdEntry>();
        for (var block = 0; block < stored.Length; block++)
        {
            if (stored[block] is 'p' or 'b')
                Add(new TierBlock(chain.Public(from + block), chain.Model, default, SsdHarness.Declared, from + block));
            if (stored[block] is 'o' or 'b')
                Add(new TierBlock(chain.Private(from + block, secret), chain.Model, SsdHarness.Owner("alice"), null, from + block));
        }

        var plan = TierPlan.Continue(chain, from, endsPublic, ownOnly ? View.OwnOnly : View.Shared, secret, id => entries.GetValueOrDefault(id), (_, _) => true);
        Assert.Equal(taken, string.Concat(plan.Select(entry => entry.Block.IsPublic ? 'p' : 'o')));
        Assert.Equal(Enumerable.Range(from, taken.Length), plan.Select(entry => entry.Block.Depth));

        void Add(TierBlock block) => entries[block.Id] = new SsdEntry(
            null!, 0, new SegmentRecord { Block = block, Sequence = 0, Offset = 0, Length = 1, BodyCrc = 0, WrittenAt = 0, Seal = [] });
    }
}
