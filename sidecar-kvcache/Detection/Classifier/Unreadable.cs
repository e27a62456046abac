using System.Globalization;
using System.Text;

namespace Moebius.KvCache.Detection.Classifier;

/// <summary>
/// Writing that people and language models read but a classifier does not: Braille, Morse, letters of rare scripts, numbers
/// in circles, characters of private fonts. What is written so is not cleared by a classifier that saw only signs in it. Pure.
/// </summary>
internal static class Unreadable
{
    /// <summary>Fewer such characters are ornaments, and say little.</summary>
    private const int Least = 4;

    private const int LeastKinds = 3;

    /// <summary>A number of its kind that stands in ordinary text, as in years.</summary>
    private const int ChineseZero = 0x3007;

    private const int LongestGroup = 7;

    /// <param name="passage">What is to be judged.</param>
    /// <param name="isFolded">The classifier reads forms of ASCII letters and digits as those.</param>
    public static bool Has(string passage, bool isFolded)
    {
        var strange = 0;
        foreach (var rune in passage.EnumerateRunes())
        {
            if (rune.Value >= 128 && IsStrange(rune, isFolded) && ++strange >= Least)
                return true;
        }

        return HasMorse(passage);
    }

    /// <summary>Whether characters up to one that ends there are a group of dots and dashes, and so no end of a sentence.</summary>
    public static bool EndsGroup(string text, int start, int last)
    {
        var first = last;
        while (first > start && last - first < LongestGroup && !char.IsWhiteSpace(text[first - 1]))
            first--;
        return last - first < LongestGroup && SignsOf(text.AsSpan(first, last + 1 - first)) > 0;
    }

    /// <summary>Letters and digits of scripts that models are trained on: that some look like ASCII says nothing.</summary>
    private static bool IsOrdinary(Rune rune) => rune.IsBmp
        && (rune.Value is (>= 0x370 and < 0x530) or 0xB2 or 0xB3 or 0xB9 || Rune.GetUnicodeCategory(rune) == UnicodeCategory.DecimalDigitNumber);

    private static bool IsStrange(Rune rune, bool isFolded)
    {
        var folded = rune.IsBmp ? Folding.Fold((char)rune.Value) : Folding.FoldAstral(rune.Value);
        if (folded is > Folding.Dropped and < (char)128)
            return !isFolded && char.IsAsciiLetterOrDigit(folded) && !IsOrdinary(rune);
        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned => true,
            // Beyond the fractions; but no arrows, frames, blocks, stars and ticks.
            UnicodeCategory.OtherSymbol or UnicodeCategory.OtherNumber or UnicodeCategory.LetterNumber => rune.IsBmp && rune.Value is >= 0x2460 and not ChineseZero and not (>= 0x2500 and < 0x2800) and not (>= 0x2900 and < 0x2C00),
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter or UnicodeCategory.DecimalDigitNumber =>
                // Ideographs of the second plane are read like the others.
                !rune.IsBmp && rune.Value is < 0x20000 or > 0x3FFFF,
            _ => false,
        };
    }

    /// <summary>At least four groups of dots and dashes one after the other, of three kinds and with both.</summary>
    private static bool HasMorse(string passage)
    {
        var kinds = new HashSet<int>();
        var (groups, position) = (0, 0);
        while (position < passage.Length)
        {
            var end = position;
            while (end < passage.Length && !IsGap(passage[end]))
                end++;
            if (end > position)
            {
                var signs = end - position <= LongestGroup ? SignsOf(passage.AsSpan(position, end - position)) : 0;
                if (signs == 0)
                {
                    groups = 0;
                    kinds.Clear();
                }
                else
                {
                    groups++;
                    kinds.Add(signs);
                    if (groups >= Least && kinds.Count >= LeastKinds && kinds.Any(HasDash) && kinds.Any(HasDot))
                        return true;
                }
            }

            position = end + 1;
        }

        return false;
    }

    private static bool IsGap(char character) => char.IsWhiteSpace(character) || character is '/' or '|';

    /// <summary>A number for a group of dots and dashes: one, then a bit for each; 0: it is none.</summary>
    private static int SignsOf(ReadOnlySpan<char> group)
    {
        var signs = 1;
        foreach (var character in group)
        {
            if (Folding.Fold(character) is not ('.' or '-' or '_' or '*') and not '•')
                return 0;
            signs = (signs << 1) | (Folding.Fold(character) is '-' or '_' ? 1 : 0);
        }

        return signs;
    }

    private static bool HasDash(int signs) => (signs & (HighestBit(signs) - 1)) != 0;

    private static bool HasDot(int signs) => (signs & (HighestBit(signs) - 1)) != HighestBit(signs) - 1;

    private static int HighestBit(int value) => 1 << (31 - int.LeadingZeroCount(value));
}
