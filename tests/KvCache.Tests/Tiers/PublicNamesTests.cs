using Moebius.KvCache.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class PublicNamesTests
{
    [Fact]
    public void The_last_ones_are_known_and_what_is_withdrawn_is_known_no_more()
    {
        var names = new PublicNames(most: 2);
        for (ulong block = 1; block <= 3; block++)
            names.Know(Key(block), Name(block));
        Assert.Equal((false, true, true), (names.IsKnown(Key(1)), names.IsKnown(Key(2)), names.IsKnown(Key(3))));
        Assert.Equal([Name(2)], names.Withdraw([Key(1), Key(2)]));
        Assert.Equal((false, true), (names.IsKnown(Key(2)), names.IsKnown(Key(3))));
    }

    private static BlockKey Key(ulong block) => new(block, block);

    private static BlockId Name(ulong block) => new(block, block, block, block);
}
