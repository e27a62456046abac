using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Text;

/// <summary>The switches of byte-pair encoding, each beside its opposite.</summary>
public class BpeModelTests
{
    [Theory]
    [InlineData(true, new[] { 0, 1, 0 })]
    [InlineData(false, new[] { 0, 0, 1, 0, 0 })]
    public void Neighbouring_unknown_characters_are_one_token_where_they_are_fused(bool fuse, int[] expected) =>
        Assert.Equal(expected, Encode(new BpeModel(new() { ["<unk>"] = 0, ["a"] = 1 }, [], 0, fuse, false, false), "xyaxy"));

    [Theory]
    [InlineData(true, new[] { 2 })]
    [InlineData(false, new[] { 0, 1 })]
    public void A_whole_word_of_the_vocabulary_needs_a_merge_unless_they_are_ignored(bool ignore, int[] expected) =>
        Assert.Equal(expected, Encode(new BpeModel(new() { ["a"] = 0, ["b"] = 1, ["ab"] = 2 }, [], null, false, false, ignore), "ab"));

    [Theory]
    [InlineData("", 0)]
    [InlineData("x", 1)]
    [InlineData("abc", 1)]
    [InlineData("abcd", 2)]
    [InlineData("abcdef", 2)]
    [InlineData("abcdefg", 3)]
    public void A_word_has_at_least_as_many_tokens_as_longest_ones_fit(string word, int tokens)
    {
        var vocabulary = Enumerable.Range(0, 256).ToDictionary(value => ByteAlphabet.Of((byte)value).ToString(), value => value);
        vocabulary.Add("abc", 256);
        Assert.Equal(tokens, new BpeModel(vocabulary, [], null, false, false, false).FewestTokens(word));
        // Where characters may be dropped or fused nothing is known.
        Assert.Equal(0, new BpeModel(new() { ["abc"] = 0 }, [], 0, true, false, false).FewestTokens(word));
    }

    private static List<int> Encode(BpeModel model, string word)
    {
        var tokens = new List<int>();
        model.Encode(word, tokens);
        return tokens;
    }
}
