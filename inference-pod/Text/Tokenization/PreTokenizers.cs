using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>A piece of text between added tokens.</summary>
/// <param name="Text">The characters.</param>
/// <param name="AtStart">It begins where the whole input begins.</param>
internal readonly record struct Piece(string Text, bool AtStart);

/// <summary>Splits text into the words that merges never cross.</summary>
internal interface IPreTokenizer
{
    IEnumerable<Piece> Split(Piece piece);
}

/// <summary>One after the other.</summary>
internal sealed class SequencePreTokenizer(IReadOnlyList<IPreTokenizer> steps) : IPreTokenizer
{
    public IEnumerable<Piece> Split(Piece piece) =>
        steps.Aggregate<IPreTokenizer, IEnumerable<Piece>>([piece], (pieces, step) => pieces.SelectMany(step.Split));
}

/// <summary>What becomes of a match of a pattern.</summary>
internal enum SplitBehavior
{
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>Splits at the matches of a regular expression (or, inverted, keeps the matches).</summary>
/// <param name="pattern">The expression, for texts as <see cref="CodePointText"/> has them.</param>
/// <param name="behavior">What becomes of a match.</param>
/// <param name="invert">Matches are what lies between the expression's matches.</param>
/// <param name="named">Code points outside the basic plane that the expression names.</param>
internal sealed class SplitPreTokenizer(Regex pattern, SplitBehavior behavior, bool invert, AstralRanges? named = null) : IPreTokenizer
{
    /// <summary>Parts that are found at once: whoever has seen enough of a long text has not paid for the rest.</summary>
    private const int Parts = 4096;

    public IEnumerable<Piece> Split(Piece piece)
    {
        var text = new CodePointText(piece.Text, named);
        var parts = new List<(int Start, int End, bool Match)>();
        for (var from = 0; from < text.Shadow.Length; parts.Clear())
        {
            from = Find(text.Shadow, from, parts);
            foreach (var (start, stop) in Combine(parts))
                yield return new Piece(text.Slice(start, stop - start), piece.AtStart && start == 0);
        }
    }

    /// <summary>Finds matches and what lies between: all, where neighbours may be joined, and otherwise some.</summary>
    /// <returns>Where to go on.</returns>
    private int Find(string text, int from, List<(int Start, int End, bool Match)> parts)
    {
        var end = from;
        var time = new PatternTime();
        foreach (var match in pattern.EnumerateMatches(text, from))
        {
            time.Check();
            if (match.Length == 0)
                continue;
            if (match.Index > end)
                parts.Add((end, match.Index, invert));
            parts.Add((match.Index, match.Index + match.Length, !invert));
            end = match.Index + match.Length;
            if (behavior == SplitBehavior.Isolated && parts.Count >= Parts)
                return end;
        }

        if (end < text.Length)
            parts.Add((end, text.Length, invert));
        return text.Length;
    }

    private IEnumerable<(int Start, int End)> Combine(List<(int Start, int End, bool Match)> parts)
    {
        var result = new List<(int Start, int End)>();
        var pendingMatch = false;
        var lastMatch = false;
        foreach (var (start, end, match) in parts)
        {
            switch (behavior)
            {
                case SplitBehavior.Removed when match:
                    break;
                case SplitBehavior.MergedWithPrevious when match && result.Count > 0 && !lastMatch:
                case SplitBehavior.MergedWithNext when !match && pendingMatch:
                case SplitBehavior.Contiguous when result.Count > 0 && match == lastMatch:
                    result[^1] = (result[^1].Start, end);
                    break;
                default:
                    result.Add((start, end));
                    break;
            }

            pendingMatch = match;
            lastMatch = match;
        }

        return result;
    }
}

/// <summary>Separates digits from the rest, each alone or in runs.</summary>
internal sealed class DigitsPreTokenizer(bool individual) : IPreTokenizer
{
    public IEnumerable<Piece> Split(Piece piece)
    {
        var text = new CodePointText(piece.Text);
        var shadow = text.Shadow;
        for (var start = 0; start < shadow.Length;)
        {
            var digit = IsNumber(shadow[start]);
            var end = start + 1;
            while (end < shadow.Length && !(digit && individual) && IsNumber(shadow[end]) == digit)
                end++;
            yield return new Piece(text.Slice(start, end - start), piece.AtStart && start == 0);
            start = end;
        }
    }

    private static bool IsNumber(char value) => CharUnicodeInfo.GetUnicodeCategory(value)
        is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;
}

/// <summary>Splits with GPT-2's expression where asked, then writes each byte as its character.</summary>
internal sealed partial class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : IPreTokenizer
{
    private readonly SplitPreTokenizer _words = new(Words(), SplitBehavior.Isolated, false);

    public IEnumerable<Piece> Split(Piece piece)
    {
        if (addPrefixSpace && piece.Text.Length > 0 && !piece.Text.StartsWith(' '))
            piece = piece with { Text = " " + piece.Text };
        foreach (var word in useRegex ? _words.Split(piece) : [piece])
            yield return word with { Text = ToAlphabet(word.Text) };
    }

    private static string ToAlphabet(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return string.Create(bytes.Length, bytes, static (span, source) =>
        {
            for (var i = 0; i < source.Length; i++)
                span[i] = ByteAlphabet.Of(source[i]);
        });
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Words();
}

/// <summary>SentencePiece's way with spaces: a visible mark for each, and one in front of the text.</summary>
internal sealed class MetaspacePreTokenizer(char mark, PrependScheme scheme, bool split) : IPreTokenizer
{
    public IEnumerable<Piece> Split(Piece piece)
    {
        var text = piece.Text.Replace(' ', mark);
        if (text.Length > 0 && text[0] != mark && (scheme == PrependScheme.Always || (scheme == PrependScheme.First && piece.AtStart)))
            text = mark + text;
        if (!split)
        {
            yield return piece with { Text = text };
            yield break;
        }

        for (var start = 0; start < text.Length;)
        {
            var end = text.IndexOf(mark, start + 1);
            end = end < 0 ? text.Length : end;
            yield return new Piece(text[start..end], piece.AtStart && start == 0);
            start = end;
        }
    }
}

/// <summary>Where <see cref="MetaspacePreTokenizer"/> puts a mark in front.</summary>
internal enum PrependScheme
{
    Always,
    First,
    Never,
}
