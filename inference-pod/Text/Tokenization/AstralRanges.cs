using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// The letters outside the basic plane that a pattern names in a class, as DeepSeek-V2's does with those of Deseret, Osage,
/// Adlam and other scripts. .NET would read their surrogates one by one: <see cref="CodePointText"/> replaces the
/// letters in the text, and here the pattern's class gets the same replacements.
/// </summary>
internal sealed class AstralRanges
{
    private const char Upper = '\uA7A0';
    private const char Lower = '\uA7A1';

    private readonly List<(int First, int Last)> _ranges = [];

    private AstralRanges()
    {
    }

    /// <summary>A pattern for <see cref="CodePointText.Shadow"/>.</summary>
    /// <param name="expression">As the tokenizer's file has it.</param>
    /// <param name="ranges">What the text has to be read with; null where nothing outside the basic plane is named.</param>
    /// <exception cref="ArgumentException">It names code points in a way that is not supported.</exception>
    public static string Rewrite(string expression, out AstralRanges? ranges)
    {
        ranges = null;
        var output = new StringBuilder(expression.Length);
        for (var i = 0; i < expression.Length;)
        {
            if (expression[i] is '[')
            {
                var end = ClassEnd(expression, i);
                output.Append(RewriteClass(expression[i..end], ref ranges));
                i = end;
                continue;
            }

            var length = expression[i] is '\\' && i + 1 < expression.Length ? 2 : 1;
            if (char.IsSurrogate(expression[i + length - 1]))
                throw new ArgumentException("Outside of a class it names a character that lies outside of the basic plane");
            output.Append(expression, i, length);
            i += length;
        }

        return output.ToString();
    }

    /// <summary>What stands for a code point that is named; null for one that is not.</summary>
    public char? StandIn(int codePoint) => _ranges.Exists(range => range.First <= codePoint && codePoint <= range.Last) ? Letter(codePoint) : null;

    /// <summary>Whether a character of the text is one that here stands for others, so that it must be replaced itself.</summary>
    public static bool IsTaken(char character) => character is Upper or Lower;

    private static char? Letter(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
    {
        UnicodeCategory.UppercaseLetter => Upper,
        UnicodeCategory.LowercaseLetter => Lower,
        _ => null,
    };

    private static int ClassEnd(string expression, int start)
    {
        var i = start + 1;
        if (i < expression.Length && expression[i] is '^')
            i++;
        // A bracket that comes first is a character.
        for (var first = i; i < expression.Length && (expression[i] is not ']' || i == first); i++)
        {
            if (expression[i] is '\\')
                i++;
        }

        return Math.Min(i + 1, expression.Length);
    }

    private static string RewriteClass(string text, ref AstralRanges? ranges)
    {
        if (!text.Any(char.IsSurrogate))
            return text;
        var found = new AstralRanges();
        var rest = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length;)
        {
            if (!char.IsSurrogatePair(text, i))
            {
                rest.Append(text[i++]);
                continue;
            }

            if (rest[^1] is '-' or '\\')
                throw new ArgumentException("A class has a range into the basic plane's outside, or an escape before a character there");
            var (first, last) = (char.ConvertToUtf32(text, i), char.ConvertToUtf32(text, i));
            i += 2;
            if (text[i] is '-' && char.IsSurrogatePair(text, i + 1))
            {
                last = char.ConvertToUtf32(text, i + 1);
                i += 3;
            }

            found.Add(first, last);
        }

        if (ranges is not null && !ranges._ranges.SequenceEqual(found._ranges))
            throw new ArgumentException("Two classes name different characters outside of the basic plane");
        ranges = found;
        var plain = rest.ToString();
        if (plain is not ("[]" or "[^]") && Regex.IsMatch($"{Upper}{Lower}", plain.StartsWith("[^", StringComparison.Ordinal) ? "[" + plain[2..] : plain, RegexOptions.CultureInvariant))
            throw new ArgumentException($"A class names characters outside of the basic plane and U+{(int)Upper:X} or U+{(int)Lower:X}");
        var letters = found._ranges.SelectMany(range => Enumerable.Range(range.First, range.Last - range.First + 1)).Select(Letter).Distinct();
        return plain[..^1] + string.Concat(letters) + ']';
    }

    private void Add(int first, int last)
    {
        if (last < first)
            throw new ArgumentException("A class has a range in reverse order");
        for (var value = first; value <= last; value++)
        {
            if (Letter(value) is null)
                throw new ArgumentException($"A class names U+{value:X}, which is no upper or lower case letter; of those outside of the basic plane only such can be named");
        }

        _ranges.Add((first, last));
    }
}
