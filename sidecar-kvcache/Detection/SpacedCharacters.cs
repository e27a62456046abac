using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Characters set apart by one and the same separator, joined again: "g h p _ 1 a B" or "j-o-h-n". Only runs of at
/// least six characters, which no ordinary text has, are rewritten.
/// </summary>
internal static class SpacedCharacters
{
    private const int LeastRun = 6;

    /// <summary>The rewritten view, or null when the text has nothing to rewrite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ScanView? Rewrite(ScanView view, FindingSink sink)
    {
        RewrittenText? text = null;
        var position = 0;
        while (position + 2 < view.Length)
        {
            // Most places are turned away by one look two characters ahead.
            var separator = view.Text[position + 1];
            if (position + 3 < view.Length && view.Text[position + 3] != separator)
            {
                position++;
                continue;
            }

            if (!IsSeparator(separator) || !IsContent(view.Text[position], separator) || (position > 0 && (char.IsLetterOrDigit(view.Text[position - 1]) || view.Text[position - 1] == '\'')))
            {
                position++;
                continue;
            }

            var end = position;
            while (end + 2 < view.Length && view.Text[end + 1] == separator && IsContent(view.Text[end + 2], separator) && (end + 3 >= view.Length || !char.IsLetterOrDigit(view.Text[end + 2]) || !char.IsLetterOrDigit(view.Text[end + 3])))
                end += 2;
            if ((end - position) / 2 + 1 < LeastRun || IsCounting(view, position, end))
            {
                position = Math.Max(position + 1, end);
                continue;
            }

            if (HidesPhrase(view, position, end))
                sink.Add(view, SecretKind.StreetAddress, position, end + 1);
            text ??= new RewrittenText(view);
            text.MoveTo(position, end + 1);
            for (var index = position; index <= end; index += 2)
                text.Add(view.Text[index], index);
            position = end + 1;
        }

        return text?.ToView();
    }

    /// <summary>
    /// A phrase with a number in it whose own spaces are lost among the added ones, as of a street: nobody spaces text
    /// out like that unless it is to be hidden.
    /// </summary>
    private static bool HidesPhrase(ScanView view, int start, int end)
    {
        var (letters, digits, capitals) = (0, 0, 0);
        for (var index = start; index <= end; index += 2)
        {
            letters += char.IsLetter(view.Text[index]) ? 1 : 0;
            digits += char.IsAsciiDigit(view.Text[index]) ? 1 : 0;
            capitals += char.IsUpper(view.Text[index]) ? 1 : 0;
        }

        return letters >= 4 && digits is >= 1 and <= 8 && capitals is >= 1 and <= 12 && letters > digits;
    }

    /// <summary>1,2,3,4,5,6: nothing that somebody hides.</summary>
    private static bool IsCounting(ScanView view, int start, int end)
    {
        var step = view.Text[start + 2] - view.Text[start];
        for (var index = start; index <= end; index += 2)
        {
            if (!char.IsAsciiDigit(view.Text[index]) || (index > start && view.Text[index] - view.Text[index - 2] != step))
                return false;
        }

        return true;
    }

    private static bool IsSeparator(char character) => character is ' ' or '-' or '_' or '*' or '|' or '/' or ',' or '\n' or '\t' or '.';

    private static bool IsContent(char character, char separator) =>
        char.IsLetterOrDigit(character) || (character is '@' or '.' or '_' or '-' or ':' or '+' or '=' or '/' or ',' or '#' && character != separator && separator is ' ' or '\t' or '\n');
}
