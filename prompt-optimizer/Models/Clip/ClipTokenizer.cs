using System.Globalization;
using System.Text;
using Moebius.Crds.Text;

namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>A text as CLIP reads it.</summary>
/// <param name="Ids">Its tokens, with the two that frame them.</param>
/// <param name="Cut">Whether its end was left out, for want of room.</param>
internal sealed record ClipTokens(IReadOnlyList<int> Ids, bool Cut);

/// <summary>
/// CLIP's tokenizer: text in normal form C and lower case is split into contractions, words, single digits and runs of
/// other signs; the bytes of each, the last one with <c>&lt;/w&gt;</c>, are merged by rank. Names of special tokens in a text
/// are signs like others, so that no prompt ends before its end.
/// </summary>
internal sealed class ClipTokenizer
{
    /// <summary>Stands behind the last byte of a word.</summary>
    public const string WordEnd = "</w>";

    /// <summary>Longest word in bytes; of a longer one nobody reads the end. It bounds the time that a merge takes. Ours.</summary>
    private const int MaxWordBytes = 2048;

    private readonly Dictionary<(int Left, int Right), (int Rank, int Merged)> _merges;
    private readonly int[] _bytes;
    private readonly int[] _lastBytes;

    /// <param name="vocabulary">Tokens and their numbers.</param>
    /// <param name="merges">Pairs that become one, the first of them first.</param>
    /// <param name="start">The token before a text.</param>
    /// <param name="end">The token behind it, which also stands for what the vocabulary has not, as in CLIP's own.</param>
    /// <exception cref="FormatException">A merge makes a token that the vocabulary has not.</exception>
    public ClipTokenizer(Dictionary<string, int> vocabulary, IEnumerable<(string Left, string Right)> merges, int start, int end)
    {
        (Start, End, Largest, _merges) = (start, end, vocabulary.Values.Max(), []);
        foreach (var (left, right) in merges)
            _merges.TryAdd((Id(left), Id(right)), (_merges.Count, Id(left + right)));
        var letters = MapBytes();
        _bytes = [.. letters.Select(letter => vocabulary.GetValueOrDefault(letter, end))];
        _lastBytes = [.. letters.Select(letter => vocabulary.GetValueOrDefault(letter + WordEnd, end))];

        int Id(string token) => vocabulary.TryGetValue(token, out var id) ? id : throw new FormatException($"the merges make '{token}', which the vocabulary has not");
    }

    /// <summary>Stands before a text.</summary>
    public int Start { get; }

    /// <summary>Stands behind a text, and fills up a shorter one: what comes after the first of them, CLIP does not see.</summary>
    public int End { get; }

    /// <summary>The highest number of a token.</summary>
    public int Largest { get; }

    /// <param name="text">The text.</param>
    /// <param name="most">Tokens that it may have, the two that frame them included.</param>
    public ClipTokens Encode(string text, int most)
    {
        var ids = new List<int> { Start };
        foreach (var word in Words(Normal(text)))
        {
            ids.AddRange(Merge(word));
            if (ids.Count >= most)
                break;
        }

        return new([.. ids.Take(most - 1), End], ids.Count >= most);
    }

    /// <summary>Form C in lower case, character by character; the one capital whose small letter is two characters is spelled out.</summary>
    private static Rune[] Normal(string text) =>
        [.. UnicodeNormalization.Normalize(text, NormalizationForm.FormC).Replace("\u0130", "i\u0307", StringComparison.Ordinal).EnumerateRunes().Select(Rune.ToLowerInvariant)];

    /// <summary>The UTF-8 bytes of each word.</summary>
    private static IEnumerable<byte[]> Words(Rune[] text)
    {
        for (int start = 0, end; start < text.Length; start = end)
        {
            var kind = KindOf(text[start]);
            end = start + Contraction(text.AsSpan(start));
            if (end == start)
                end++;
            else
                kind = Kind.Number;
            while (kind is Kind.Letter or Kind.Sign && end < text.Length && KindOf(text[end]) == kind)
                end++;
            if (kind != Kind.Space)
                yield return Encoding.UTF8.GetBytes(string.Concat(text[start..end]));
        }
    }

    /// <summary>Characters of the English contraction that the text begins with; 0 for none.</summary>
    private static int Contraction(ReadOnlySpan<Rune> text)
    {
        if (text.Length < 2 || text[0].Value != '\'')
            return 0;
        return (text[1].Value, text.Length > 2 ? text[2].Value : 0) switch
        {
            ('s' or 't' or 'm' or 'd', _) => 2,
            ('r' or 'v', 'e') or ('l', 'l') => 3,
            _ => 0,
        };
    }

    private static Kind KindOf(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => Kind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Number,
        _ => Rune.IsWhiteSpace(rune) ? Kind.Space : Kind.Sign,
    };

    /// <summary>Bytes as characters that a file can show, as all byte-level vocabularies have it: what Latin-1 prints stands for itself, the others for U+0100 on.</summary>
    private static string[] MapBytes()
    {
        var next = 0x100;
        return [.. Enumerable.Range(0, 256).Select(value => ((char)(value is (>= 0x21 and <= 0x7e) or (>= 0xa1 and <= 0xac) or (>= 0xae and <= 0xff) ? value : next++)).ToString())];
    }

    private List<int> Merge(byte[] word)
    {
        var length = Math.Min(word.Length, MaxWordBytes);
        var ids = word.Take(length).Select((value, index) => index == length - 1 ? _lastBytes[value] : _bytes[value]).ToList();
        while (true)
        {
            (int Rank, int Merged) best = (int.MaxValue, 0);
            (int Left, int Right) pair = default;
            for (var index = 0; index + 1 < ids.Count; index++)
            {
                if (_merges.TryGetValue((ids[index], ids[index + 1]), out var merge) && merge.Rank < best.Rank)
                    (best, pair) = (merge, (ids[index], ids[index + 1]));
            }

            if (best.Rank == int.MaxValue)
                return ids;
            // All pairs of this rank at once, from the left.
            var kept = 0;
            for (var index = 0; index < ids.Count; index++, kept++)
            {
                var merges = index + 1 < ids.Count && (ids[index], ids[index + 1]) == pair;
                ids[kept] = merges ? best.Merged : ids[index];
                if (merges)
                    index++;
            }

            ids.RemoveRange(kept, ids.Count - kept);
        }
    }

    private enum Kind
    {
        Letter,
        Number,
        Sign,
        Space,
    }
}
