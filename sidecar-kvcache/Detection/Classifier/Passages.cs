namespace Moebius.KvCache.Detection.Classifier;

/// <summary>A stretch of a text that is judged as a whole.</summary>
/// <param name="Start">First character (UTF-16).</param>
/// <param name="End">Last character, exclusive.</param>
/// <param name="IsClosed">Nothing that follows can become part of it.</param>
internal readonly record struct Passage(int Start, int End, bool IsClosed);

/// <summary>
/// Cuts a text into passages: lines and sentences, at most <see cref="MaxLength"/> characters long. Cuts depend on what
/// is near them only, so reading may start anywhere and falls into step at the next sentence. Pure.
/// </summary>
internal static class Passages
{
    /// <summary>Longest passage in characters.</summary>
    public const int MaxLength = 400;

    /// <summary>Fewer signs of ASCII say nothing: a bullet, a bracket, a short rule.</summary>
    private const int LeastSigns = 8;

    /// <summary>All passages with something to read in them, in order.</summary>
    public static IEnumerable<Passage> Of(string text)
    {
        var start = 0;
        while (start < text.Length)
        {
            var end = EndOf(text, start, out var closed);
            if (HasContent(text, start, end))
                yield return new Passage(start, end, closed);
            start = end;
        }
    }

    private static int EndOf(string text, int start, out bool closed)
    {
        var limit = Math.Min(text.Length, start + MaxLength);
        for (var index = start; index < limit; index++)
        {
            var character = text[index];
            closed = character is '\n' or '。' or '！' or '？' || (character is '.' or '!' or '?' && EndsSentence(text, start, index));
            if (closed)
                return index + 1;
        }

        // A cut by length lies between words, so that none is judged in halves.
        closed = limit < text.Length;
        if (!closed)
            return limit;
        var space = text.LastIndexOf(' ', limit - 1, MaxLength / 2);
        return space > start ? space + 1 : limit - (char.IsHighSurrogate(text[limit - 1]) ? 1 : 0);
    }

    /// <summary>A full stop with a space behind it, unless it ends an abbreviation or an initial: Mr. Dr. St. J.</summary>
    private static bool EndsSentence(string text, int start, int stop)
    {
        if (stop + 1 >= text.Length || !char.IsWhiteSpace(text[stop + 1]))
            return false;
        if (text[stop] != '.')
            return true;
        // The dots of Morse end no sentence: a letter by itself would say nothing.
        if (Unreadable.EndsGroup(text, start, stop))
            return false;
        var word = stop;
        while (word > start && char.IsLetter(text[word - 1]))
            word--;
        return stop - word is 0 or > 4 || !char.IsUpper(text[word]) || (stop - word > 2 && stop + 2 < text.Length && char.IsLower(text[stop + 2]));
    }

    /// <summary>
    /// Whether there is something that a reader could make sense of: a letter or a digit, whatever is not ASCII (letters in circles,
    /// Braille), or signs enough for a message.
    /// </summary>
    private static bool HasContent(string text, int start, int end)
    {
        var signs = 0;
        for (var index = start; index < end; index++)
        {
            if (char.IsWhiteSpace(text[index]))
                continue;
            if (text[index] >= 128 || char.IsAsciiLetterOrDigit(text[index]) || ++signs >= LeastSigns)
                return true;
        }

        return false;
    }
}
