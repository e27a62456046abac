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
        var (characters, length) = (view.Text, view.Length);
        RewrittenText? text = null;
        var position = 0;
        while (position + 2 < length)
        {
            // Most places are turned away by one look three or four characters ahead.
            var separator = characters[position + 1];
            if (position + 3 < length && characters[position + 3] != separator && characters[position + 2] != separator)
            {
                position++;
                continue;
            }

            var step = characters[position + 2] == separator ? 3 : 2;
            if (position + step + 1 < length && characters[position + step + 1] != separator)
            {
                position++;
                continue;
            }

            if (!IsSeparator(separator) || !IsContent(characters[position], separator) || (position > 0 && (char.IsLetterOrDigit(characters[position - 1]) || characters[position - 1] == '\'')))
            {
                position++;
                continue;
            }

            var end = position;
            while (end + step < length && characters[end + 1] == separator && (step == 2 || characters[end + 2] == separator) && IsContent(characters[end + step], separator)
                && (end + step + 1 >= length || !char.IsLetterOrDigit(characters[end + step]) || !char.IsLetterOrDigit(characters[end + step + 1])))
                end += step;
            if ((end - position) / step + 1 < LeastRun || IsCounting(view, position, end, step))
            {
                position = Math.Max(position + 1, end);
                continue;
            }

            if (HidesPhrase(view, position, end, step))
                sink.Add(view, SecretKind.StreetAddress, position, end + 1);
            text ??= new RewrittenText(view);
            text.MoveTo(position, end + 1);
            for (var index = position; index <= end; index += step)
                text.Add(characters[index], index);
            position = end + 1;
        }

        return text?.ToView();
    }

    /// <summary>
    /// A phrase with a number in it whose own spaces are lost among the added ones, as of a street: nobody spaces text
    /// out like that unless it is to be hidden.
    /// </summary>
    private static bool HidesPhrase(ScanView view, int start, int end, int step)
    {
        var (letters, digits, capitals) = (0, 0, 0);
        for (var index = start; index <= end; index += step)
        {
            letters += char.IsLetter(view.Text[index]) ? 1 : 0;
            digits += char.IsAsciiDigit(view.Text[index]) ? 1 : 0;
            capitals += char.IsUpper(view.Text[index]) ? 1 : 0;
        }

        return letters >= 4 && digits is >= 1 and <= 8 && capitals is >= 1 and <= 12 && letters > digits;
    }

    /// <summary>1,2,3,4,5,6: nothing that somebody hides.</summary>
    private static bool IsCounting(ScanView view, int start, int end, int step)
    {
        var difference = view.Text[start + step] - view.Text[start];
        for (var index = start; index <= end; index += step)
        {
            if (!char.IsAsciiDigit(view.Text[index]) || (index > start && view.Text[index] - view.Text[index - step] != difference))
                return false;
        }

        return true;
    }

    private static bool IsSeparator(char character) => character is ' ' or '-' or '_' or '*' or '|' or '/' or ',' or '\n' or '\t' or '.';

    private static bool IsContent(char character, char separator) =>
        char.IsLetterOrDigit(character) || (character != separator && (character is '.' or '-' or '@' || (character is '_' or ':' or '+' or '=' or '/' or ',' or '#' && separator is ' ' or '\t' or '\n')));
}
