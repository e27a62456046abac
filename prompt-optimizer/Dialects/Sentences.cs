namespace Moebius.PromptOptimizer.Dialects;

/// <summary>Cutting texts where a reader would.</summary>
internal static class Sentences
{
    /// <summary>
    /// Parts of a CLIP or T5 tokenizer that a text comes to, estimated high: every five letters of a word and every other
    /// sign count one. The exact number needs the tokenizer's own files.
    /// </summary>
    public static int EstimateTokens(string text)
    {
        var tokens = 0;
        var letters = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.IsAscii && System.Text.Rune.IsLetter(rune))
            {
                if (letters++ % 5 == 0)
                    tokens++;
                continue;
            }

            letters = 0;
            if (!System.Text.Rune.IsWhiteSpace(rune))
                // Byte-level vocabularies spell rare characters byte by byte.
                tokens += rune.IsAscii ? 1 : Math.Min(3, rune.Utf8SequenceLength);
        }

        return tokens;
    }

    /// <summary>The longest run of whole sentences from the start that passes the test; failing that, of whole words.</summary>
    public static string Cut(string text, Func<string, bool> fits)
    {
        if (fits(text))
            return text;
        return Longest(text, fits, (index, character) => character is '.' or '!' or '?' && (index + 1 == text.Length || text[index + 1] == ' '), inclusive: true)
            ?? Longest(text, fits, (_, character) => character == ' ', inclusive: false)
            ?? Longest(text, fits, (index, _) => !char.IsLowSurrogate(text[index]), inclusive: false)
            ?? "";
    }

    private static string? Longest(string text, Func<string, bool> fits, Func<int, char, bool> boundary, bool inclusive)
    {
        var ends = Enumerable.Range(1, Math.Max(0, text.Length - 1)).Where(index => boundary(index, text[index])).Select(index => inclusive ? index + 1 : index).ToList();
        // A longer text never fits where a shorter one does not.
        var (low, high) = (0, ends.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (fits(text[..ends[middle]].TrimEnd()))
                low = middle + 1;
            else
                high = middle;
        }

        return low == 0 ? null : text[..ends[low - 1]].TrimEnd(' ', ',', ';');
    }
}
