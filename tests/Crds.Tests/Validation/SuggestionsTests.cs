using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests.Validation;

public sealed class SuggestionsTests
{
    [Theory]
    [InlineData("", "", 0)]
    [InlineData("abc", "abc", 0)]
    [InlineData("abc", "abd", 1)]
    [InlineData("abc", "acb", 1)]
    [InlineData("abc", "ab", 1)]
    [InlineData("kitten", "sitting", 3)]
    public void Distance_counts_single_mistakes(string left, string right, int distance)
    {
        Assert.Equal(distance, Suggestions.Distance(left, right));
        Assert.Equal(distance, Suggestions.Distance(right, left));
    }

    [Fact]
    public void A_word_far_from_all_gets_no_suggestion()
    {
        Assert.Null(Suggestions.Nearest("colour", ["mode", "rules"]));
        Assert.Null(Suggestions.Nearest(new string('a', 10_000), [new string('a', 64)]));
        Assert.Null(Suggestions.Nearest("x", []));
    }
}
