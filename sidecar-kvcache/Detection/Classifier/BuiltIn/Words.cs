namespace Moebius.KvCache.Detection.Classifier.BuiltIn;

/// <summary>A word, a number, an ideograph or a sign of a passage, as it looks after folding.</summary>
/// <param name="Text">Folded, in its own case.</param>
/// <param name="Start">First character in the passage.</param>
/// <param name="End">Last character, exclusive.</param>
internal readonly record struct Word(string Text, int Start, int End)
{
    public string Lower { get; } = Text.ToLowerInvariant();

    public bool IsSign => !char.IsLetterOrDigit(Text[0]);
}

/// <summary>Cuts a passage into words. Pure.</summary>
internal static class Words
{
    private const char FirstIdeograph = '\u2E80';
    private const int MaxLength = 32;

    public static List<Word> Of(string passage)
    {
        var view = ScanView.Fold(passage);
        var words = new List<Word>();
        for (var start = 0; start < view.Length;)
        {
            var end = start + 1;
            if (char.IsLetterOrDigit(view.Text[start]) && !StandsAlone(view.Text[start]))
            {
                while (end < view.Length && end - start < MaxLength && Continues(view, end))
                    end++;
            }
            else if (char.IsWhiteSpace(view.Text[start]))
            {
                start++;
                continue;
            }

            words.Add(new Word(new string(view.Text, start, end - start), view.StartOf(start), view.EndOf(end - 1)));
            start = end;
        }

        return words;
    }

    /// <summary>Scripts that write no spaces between words; Hangul does.</summary>
    private static bool StandsAlone(char character) => character >= FirstIdeograph && character is not (>= '\uAC00' and <= '\uD7AF');

    private static bool Continues(ScanView view, int index)
    {
        var character = view.Text[index];
        if (char.IsLetterOrDigit(character) || char.GetUnicodeCategory(character) is System.Globalization.UnicodeCategory.NonSpacingMark or System.Globalization.UnicodeCategory.SpacingCombiningMark)
            return !StandsAlone(character);
        return character is '\'' or '-' && index + 1 < view.Length && char.IsLetterOrDigit(view.Text[index + 1]) && char.IsLetterOrDigit(view.Text[index - 1]);
    }
}
