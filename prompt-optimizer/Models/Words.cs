using System.Buffers;
using System.Globalization;
using System.Text;
using Moebius.Crds.Text;

namespace Moebius.PromptOptimizer.Models;

/// <summary>Words of a text, reduced so that "Lions", "lion's" and "lion" count as one.</summary>
internal static class Words
{
    private static readonly HashSet<string> StopWords = new(StringComparer.Ordinal);
    private static readonly SearchValues<char> Vowels = SearchValues.Create("aeiouy");
    private static readonly string[] Numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

    static Words()
    {
        // Words that say nothing about what an image shows, and those by which people ask for an image.
        const string list = """
            a about above after again all also am an and any are as at be because been before being below between both but by
            can could did do does doing down during each few for from further get give had has have having he her here hers him
            his how i if in into is it its just let like look looking looks make making me more most my need no nor not of off on
            once only or other our out over own please same she should show showing so some such than that the their them then
            there these they this those through to too under until up very want was we were what when where which while who whom
            why will with without would you your
            create created draw drawn generate image images picture pictures photo prompt something thing things kind sort
            really maybe perhaps nice good great cool
            """;
        foreach (var word in list.Split([' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries))
            StopWords.Add(word);
    }

    /// <summary>All words in order, lower case, digits up to twelve spelled out, with "'s" taken off.</summary>
    public static List<string> Split(string text)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        foreach (var rune in UnicodeNormalization.Normalize(text, NormalizationForm.FormKC).EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(rune) || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark)
                word.Append(Rune.ToLowerInvariant(rune).ToString());
            else if (rune.Value is '\'' or '’' && word.Length > 0)
                word.Append('\'');
            else
                Take();
        }

        Take();
        return words;

        void Take()
        {
            var found = word.ToString().TrimEnd('\'');
            word.Clear();
            if (found.EndsWith("'s", StringComparison.Ordinal))
                found = found[..^2];
            if (found.Length == 0)
                return;
            words.Add(int.TryParse(found, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < Numbers.Length ? Numbers[number] : found);
        }
    }

    /// <summary>The words that carry meaning, each stem once, in order; as written, for messages. Compare them by <see cref="Stem"/>.</summary>
    public static IReadOnlyList<string> Content(string text) =>
        [.. Split(text).Where(word => !StopWords.Contains(word) && (word.Length > 1 || char.IsDigit(word[0]))).DistinctBy(Stem, StringComparer.Ordinal)];

    /// <summary>The stems of <see cref="Content"/>.</summary>
    public static HashSet<string> Stems(IEnumerable<string> words) => words.Select(Stem).ToHashSet(StringComparer.Ordinal);

    /// <summary>Whether the letter is of a script that writes words without spaces: Chinese, Japanese, Thai, Lao, Khmer, Burmese.</summary>
    public static bool IsUnspaced(char letter) => letter is (>= '\u0e00' and <= '\u0eff') or (>= '\u1000' and <= '\u109f') or (>= '\u1780' and <= '\u17ff')
        or (>= '\u3040' and <= '\u30ff') or (>= '\u3400' and <= '\u4dbf') or (>= '\u4e00' and <= '\u9fff') or (>= '\uf900' and <= '\ufaff');

    /// <summary>The same, and Korean, which writes particles at the end of a word.</summary>
    public static bool JoinsWords(char letter) => IsUnspaced(letter) || letter is >= '\uac00' and <= '\ud7af' || char.IsSurrogate(letter);

    /// <summary>Whether words cannot be told apart in most of the text.</summary>
    public static bool AreUnspaced(string text) => text.Count(IsUnspaced) * 2 > text.Count(char.IsLetter);

    /// <summary>Whether a word carries no meaning of its own.</summary>
    public static bool IsStopWord(string word) => StopWords.Contains(word);

    /// <summary>A light English stemmer: plural, -ed, -ing and final e. It need not be right, only the same on both sides.</summary>
    public static string Stem(string word)
    {
        if (word.Length <= 3 || !char.IsAsciiLetter(word[^1]))
            return word;
        var stem = word switch
        {
            _ when word.EndsWith("ies", StringComparison.Ordinal) && word.Length > 4 => word[..^3] + "y",
            _ when word.EndsWith("sses", StringComparison.Ordinal) || word.EndsWith("shes", StringComparison.Ordinal)
                || word.EndsWith("ches", StringComparison.Ordinal) || word.EndsWith("xes", StringComparison.Ordinal) => word[..^2],
            _ when word.EndsWith("ss", StringComparison.Ordinal) || word.EndsWith("us", StringComparison.Ordinal) || word.EndsWith("is", StringComparison.Ordinal) => word,
            _ when word.EndsWith('s') => word[..^1],
            _ when word.EndsWith("ing", StringComparison.Ordinal) && HasVowel(word[..^3]) && word.Length > 5 => Undouble(word[..^3]),
            _ when word.EndsWith("ed", StringComparison.Ordinal) && HasVowel(word[..^2]) && word.Length > 4 => Undouble(word[..^2]),
            _ => word,
        };
        return stem.Length > 3 && stem.EndsWith('e') ? stem[..^1] : stem;
    }

    private static bool HasVowel(string text) => text.AsSpan().ContainsAny(Vowels);

    private static string Undouble(string stem) => stem.Length > 2 && stem[^1] == stem[^2] && stem[^1] is not ('l' or 's' or 'z') ? stem[..^1] : stem;
}
