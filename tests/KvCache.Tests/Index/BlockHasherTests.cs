using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

public sealed class BlockHasherTests
{
    [Property(MaxTest = 300)]
    public void Keys_are_equal_up_to_the_first_difference_and_nowhere_after(uint[] tokens, AnyInt position, bool portable)
    {
        foreach (var blockTokens in (int[])[1, 3, 4, 16, 21])
        {
            uint[] whole = [.. Enumerable.Repeat(tokens.Append(9u), blockTokens).SelectMany(static part => part)];
            var blocks = whole.Length / blockTokens;
            var at = (int)((uint)position.Item % (uint)(blocks * blockTokens));
            var changed = whole.ToArray();
            changed[at]++;
            var hasher = new BlockHasher(blockTokens, portable);
            var (keys, others) = (new BlockKey[blocks], new BlockKey[blocks]);
            hasher.Compute(whole, keys);
            hasher.Compute(changed, others);
            for (var block = 0; block < blocks; block++)
                Assert.Equal(block < at / blockTokens, keys[block] == others[block]);
            Assert.Equal(blocks, keys.Distinct().Count());
        }
    }

    [Fact]
    public void Every_tree_has_keys_of_its_own()
    {
        uint[] tokens = [1, 2, 3, 4];
        var keys = Enumerable.Range(0, 10).Select(_ =>
        {
            var key = new BlockKey[1];
            new BlockHasher(4).Compute(tokens, key);
            return key[0];
        });
        Assert.Equal(10, keys.Distinct().Count());
    }
}
