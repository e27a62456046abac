using System.Runtime.CompilerServices;

namespace Moebius.KvCache.Detection;

/// <summary>Letters that stand for digits: 4lll for 4111, 2O for 20, and O2O 7946 O958 as a whole.</summary>
internal static class DigitLetters
{
    private const int MaxRuns = 8;
    private const int LeastDigits = 6;

    /// <summary>Makes digits of letters in runs of digits, in place.</summary>
    /// <returns>The text as it was; the same array when nothing changed.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static char[] Restore(char[] folded, int length)
    {
        var written = folded;
        var text = folded.AsSpan(0, length);
        var index = 0;
        while (true)
        {
            // Only a run with digits in it is of interest: the vectorised search finds the next one.
            var found = text[index..].IndexOfAnyInRange('0', '9');
            if (found < 0)
                return written;
            found += index;
            var floor = index;
            index = found;
            while (index > floor && IsDigitLike(text[index - 1]))
                index--;
            // A run starts behind what is neither letter nor digit.
            while (index <= found && index > 0 && char.IsAsciiLetterOrDigit(text[index - 1]))
                index++;
            if (index > found)
            {
                while (index < text.Length && char.IsAsciiLetterOrDigit(text[index]))
                    index++;
                continue;
            }

            var (end, digits, letters) = (index, 0, 0);
            while (end < text.Length && IsDigitLike(text[end]))
            {
                if (char.IsAsciiDigit(text[end++]))
                    digits++;
                else
                    letters++;
            }

            var group = Group(text, index, end, digits, letters);
            if (group.Letters == 0)
            {
                index = group.End;
                continue;
            }

            // SI and IS are countries, S and B begin names: such a run must start as a number does.
            if (group.IsNumber || (letters > 0 && digits >= 2 && text[index] is not ('I' or 'S' or 'B' or 'Z') && (end == text.Length || !char.IsLetterOrDigit(text[end]))))
            {
                end = group.IsNumber ? group.End : end;
                if (ReferenceEquals(written, folded))
                    written = (char[])folded.Clone();
                for (var at = index; at < end; at++)
                    text[at] = ToDigit(text[at]);
            }

            index = end;
        }
    }

    /// <summary>
    /// Runs with one sign between them: a number when most of it is digits. In a run with less than two digits only what
    /// looks most like one counts, and a run without any must be one such letter throughout.
    /// </summary>
    /// <returns>Where it ends, the letters in it, and whether these stand for digits.</returns>
    private static (int End, int Letters, bool IsNumber) Group(ReadOnlySpan<char> text, int start, int end, int digits, int letters)
    {
        var isPlain = (end == text.Length || !char.IsLetterOrDigit(text[end])) && IsRun(text[start..end], digits);
        var runs = 1;
        for (; isPlain && runs < MaxRuns && end + 1 < text.Length && text[end] is ' ' or '-' or '.' or '/'; runs++)
        {
            var (next, more) = (end + 1, 0);
            while (next < text.Length && IsDigitLike(text[next]))
                more += char.IsAsciiDigit(text[next++]) ? 1 : 0;
            if (next == end + 1 || (next < text.Length && char.IsLetterOrDigit(text[next])) || !IsRun(text[(end + 1)..next], more))
                break;
            (digits, letters, end) = (digits + more, letters + next - end - 1 - more, next);
        }

        return (end, letters, runs > 1 && digits >= LeastDigits && letters <= digits);
    }

    private static bool IsRun(ReadOnlySpan<char> run, int digits) => digits switch
    {
        0 => run.Length >= 3 && run[0] is 'O' or 'o' or 'l' or 'I' or '|' && !run.ContainsAnyExcept(run[0]),
        1 => !run.ContainsAny('S', 'B', 'Z'),
        _ => run[0] is not ('I' or 'S' or 'B' or 'Z'),
    };

    /// <summary>The digit that a letter looks like; any other character itself.</summary>
    public static char ToDigit(char character) => character switch { 'O' or 'o' => '0', 'l' or 'I' or '|' => '1', 'S' => '5', 'B' => '8', 'Z' => '2', _ => character };

    private static bool IsDigitLike(char character) =>
        char.IsAsciiDigit(character) || character is 'O' or 'o' or 'l' or 'I' or '|' or 'S' or 'B' or 'Z';
}
