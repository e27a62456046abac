using System.Globalization;
using System.Text;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// A text as regular expressions of tokenizers see it: one character per code point. .NET matches UTF-16 units, where
/// a letter outside the basic plane is two surrogates and no letter; here such a code point is replaced by a character
/// of the same Unicode category, and positions map back.
/// </summary>
internal readonly struct CodePointText
{
    private readonly string source;
    private readonly int[]? offsets;

    public CodePointText(string source)
    {
        this.source = source;
        Shadow = source;
        offsets = null;
        if (!source.Any(char.IsSurrogate))
            return;
        var shadow = new StringBuilder(source.Length);
        var starts = new List<int>(source.Length + 1);
        for (var i = 0; i < source.Length;)
        {
            starts.Add(i);
            if (char.IsSurrogatePair(source, i))
            {
                shadow.Append(StandIn(CharUnicodeInfo.GetUnicodeCategory(source, i)));
                i += 2;
            }
            else
            {
                shadow.Append(source[i++]);
            }
        }

        starts.Add(source.Length);
        Shadow = shadow.ToString();
        offsets = [.. starts];
    }

    /// <summary>The text to match against.</summary>
    public string Shadow { get; }

    /// <summary>The source text of a range of <see cref="Shadow"/>.</summary>
    public string Slice(int start, int length)
    {
        var from = offsets is null ? start : offsets[start];
        var to = offsets is null ? start + length : offsets[start + length];
        return from == 0 && to == source.Length ? source : source[from..to];
    }

    // Characters of the category that no known pattern names literally.
    private static char StandIn(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter => '\uA7AA',
        UnicodeCategory.LowercaseLetter => '\uA73D',
        UnicodeCategory.TitlecaseLetter => '\u1F88',
        UnicodeCategory.ModifierLetter => '\u1D2C',
        UnicodeCategory.OtherLetter => '\u1401',
        UnicodeCategory.NonSpacingMark => '\u1DC0',
        UnicodeCategory.SpacingCombiningMark => '\u1A57',
        UnicodeCategory.EnclosingMark => '\u0488',
        UnicodeCategory.DecimalDigitNumber => '\u1A80',
        UnicodeCategory.LetterNumber => '\u2160',
        UnicodeCategory.OtherNumber => '\u2460',
        UnicodeCategory.ConnectorPunctuation => '\u2054',
        UnicodeCategory.DashPunctuation => '\u2E17',
        UnicodeCategory.OpenPunctuation => '\u2E22',
        UnicodeCategory.ClosePunctuation => '\u2E23',
        UnicodeCategory.OtherPunctuation => '\u2E2A',
        UnicodeCategory.MathSymbol => '\u2A00',
        UnicodeCategory.CurrencySymbol => '\u20A0',
        UnicodeCategory.ModifierSymbol => '\uA700',
        UnicodeCategory.OtherSymbol => '\u2600',
        UnicodeCategory.Format => '\u2060',
        _ => '\uE000',
    };
}
