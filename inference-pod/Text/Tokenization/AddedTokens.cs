using System.Buffers;
using System.Globalization;
using System.Text;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>A token that is matched in the text as a whole, before anything is split.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Content">What it matches.</param>
/// <param name="Special">Control token: it stands for no text.</param>
/// <param name="Normalized">Matched in normalized text rather than in the raw one.</param>
/// <param name="SingleWord">Matches only where no letter, mark, digit or underscore touches it.</param>
/// <param name="StripLeft">Swallows white space before it.</param>
/// <param name="StripRight">Swallows white space after it.</param>
internal sealed record AddedToken(int Id, string Content, bool Special, bool Normalized, bool SingleWord, bool StripLeft, bool StripRight);

/// <summary>Finds added tokens in text: the leftmost, and of those the longest.</summary>
internal sealed class AddedTokens
{
    /// <summary>Looks at the clock are so many places apart.</summary>
    private const int PlacesAtOnce = 4096;

    // A tree of their characters: models have hundreds of tokens that begin alike, which one by one would cost as many comparisons at each place.
    private readonly Dictionary<(int Node, char Next), int> _next = [];
    private readonly List<AddedToken?> _tokens = [null];
    private readonly SearchValues<char> _first;

    /// <param name="tokens">What to look for; empty contents never match, and of equal ones the first does.</param>
    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        var first = new HashSet<char>();
        foreach (var token in tokens.Where(token => token.Content.Length > 0))
        {
            var node = 0;
            foreach (var character in token.Content)
            {
                if (!_next.TryGetValue((node, character), out var next))
                {
                    next = _tokens.Count;
                    _tokens.Add(null);
                    _next.Add((node, character), next);
                }

                node = next;
            }

            _tokens[node] ??= token;
            first.Add(token.Content[0]);
        }

        _first = SearchValues.Create([.. first]);
    }

    /// <inheritdoc cref="Split(Piece, PatternTime)"/>
    public IEnumerable<(Piece Text, AddedToken? Token)> Split(Piece piece) => Split(piece, PatternTime.OfOneMatch);

    /// <summary>
    /// Cuts a text at its added tokens; the parts cover it but for swallowed white space. Which tokens match is settled
    /// before any of them swallows: one that begins with a space is found although the token before it took that space.
    /// </summary>
    /// <param name="piece">The text.</param>
    /// <param name="time">What it may take.</param>
    /// <exception cref="System.Text.RegularExpressions.RegexMatchTimeoutException">It takes longer.</exception>
    public IEnumerable<(Piece Text, AddedToken? Token)> Split(Piece piece, PatternTime time)
    {
        var text = piece.Text;
        var from = 0;
        var looked = 0;
        for (var i = Possible(text, 0); i < text.Length; i = Possible(text, i))
        {
            if (looked++ % PlacesAtOnce == 0)
                time.Check();
            if (Longest(text, i) is not { } token)
            {
                i++;
                continue;
            }

            var start = i;
            i += token.Content.Length;
            // A token that does not stand alone hides the shorter ones in it all the same.
            if (token.SingleWord && !StandsAlone(text, start, token.Content.Length))
                continue;
            while (token.StripLeft && start > from && char.IsWhiteSpace(text[start - 1]))
                start--;
            if (start > from)
                yield return (new Piece(text[from..start], piece.AtStart && from == 0), null);
            yield return (default, token);
            from = i;
            while (token.StripRight && from < text.Length && char.IsWhiteSpace(text[from]))
                from++;
        }

        if (from == 0)
            yield return (piece, null);
        else if (from < text.Length)
            yield return (new Piece(text[from..], false), null);
    }

    /// <summary>The next place where a token may begin.</summary>
    private int Possible(string text, int from) => text.AsSpan(from).IndexOfAny(_first) is >= 0 and var at ? from + at : text.Length;

    private AddedToken? Longest(string text, int position)
    {
        AddedToken? longest = null;
        for (int node = 0, i = position; i < text.Length && _next.TryGetValue((node, text[i]), out node); i++)
            longest = _tokens[node] ?? longest;
        return longest;
    }

    private static bool StandsAlone(string text, int start, int length) =>
        (Rune.DecodeLastFromUtf16(text.AsSpan(0, start), out var before, out _) != OperationStatus.Done || !IsWord(before))
        && (Rune.DecodeFromUtf16(text.AsSpan(start + length), out var after, out _) != OperationStatus.Done || !IsWord(after));

    /// <summary>What <c>\w</c> of Unicode Technical Standard 18 takes in.</summary>
    private static bool IsWord(Rune value) => value.Value is 0x200C or 0x200D
        // Letters in circles and squares, which are symbols by category.
        or (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189)
        || Rune.GetUnicodeCategory(value)
        is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter
        or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark
        or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation;
}
