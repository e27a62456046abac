using System.Text.RegularExpressions;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Text;

/// <summary>Which piece of a text is the one at its start, and what is put in front of a piece.</summary>
public class PieceTests
{
    [Theory]
    [InlineData("a<m>b<m>c", true, "a+|b|c")]
    [InlineData("a<m>b<m>c", false, "a|b|c")]
    [InlineData("<m>b", true, "b")]
    public void What_stands_behind_an_added_token_is_not_at_the_start(string text, bool atStart, string expected)
    {
        var tokens = new AddedTokens([new AddedToken(1, "<m>", false, false, false, false, false)]);
        Assert.Equal(expected, Join(tokens.Split(new Piece(text, atStart)).Where(part => part.Token is null).Select(part => part.Text)));
    }

    [Theory]
    [InlineData(true, "a+|-|b")]
    [InlineData(false, "a|-|b")]
    public void Of_what_is_split_the_first_piece_is_at_the_start(bool atStart, string expected) =>
        Assert.Equal(expected, Join(new SplitPreTokenizer(new Regex("-"), SplitBehavior.Isolated, false).Split(new Piece("a-b", atStart))));

    [Theory]
    [InlineData(PrependScheme.Always, "ab", false, "_ab")]
    [InlineData(PrependScheme.Always, " ab", false, "_ab")]
    [InlineData(PrependScheme.First, "ab", false, "ab")]
    [InlineData(PrependScheme.First, "ab", true, "_ab+")]
    [InlineData(PrependScheme.First, " ab", true, "_ab+")]
    [InlineData(PrependScheme.Never, "ab", true, "ab+")]
    [InlineData(PrependScheme.Always, "a b", true, "_a+|_b")]
    internal void A_mark_is_put_in_front_where_there_is_none(PrependScheme scheme, string text, bool atStart, string expected) =>
        Assert.Equal(expected, Join(new MetaspacePreTokenizer('_', scheme, true).Split(new Piece(text, atStart))));

    [Theory]
    [InlineData("ab", "Ġab+")]
    [InlineData(" ab", "Ġab+")]
    public void A_space_is_put_in_front_where_there_is_none(string text, string expected) =>
        Assert.Equal(expected, Join(new ByteLevelPreTokenizer(addPrefixSpace: true, useRegex: false).Split(new Piece(text, true))));

    private static string Join(IEnumerable<Piece> pieces) => string.Join('|', pieces.Select(piece => piece.Text + (piece.AtStart ? "+" : "")));
}
