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
    private readonly string _source;
    private readonly int[]? _offsets;

    /// <param name="source">The text.</param>
    /// <param name="named">Code points that the pattern tells from others of their category.</param>
    public CodePointText(string source, AstralRanges? named = null)
    {
        _source = source;
        Shadow = source;
        _offsets = null;
        if (!source.Any(character => char.IsSurrogate(character) || (named is not null && AstralRanges.IsTaken(character))))
            return;
        var shadow = new StringBuilder(source.Length);
        var starts = new List<int>(source.Length + 1);
        for (var i = 0; i < source.Length;)
        {
            starts.Add(i);
            if (char.IsSurrogatePair(source, i))
            {
                shadow.Append(named?.StandIn(char.ConvertToUtf32(source, i)) ?? StandIn(CharUnicodeInfo.GetUnicodeCategory(source, i)));
                i += 2;
            }
            else if (named is not null && AstralRanges.IsTaken(source[i]))
            {
                shadow.Append(StandIn(CharUnicodeInfo.GetUnicodeCategory(source, i++)));
            }
            else
            {
                shadow.Append(source[i++]);
            }
        }

        starts.Add(source.Length);
        Shadow = shadow.ToString();
        _offsets = [.. starts];
    }

    /// <summary>The text to match against.</summary>
    public string Shadow { get; }

    /// <summary>The source text of a range of <see cref="Shadow"/>.</summary>
    public string Slice(int start, int length)
    {
        var from = _offsets is null ? start : _offsets[start];
        var to = _offsets is null ? start + length : _offsets[start + length];
        return from == 0 && to == _source.Length ? _source : _source[from..to];
    }

    // Characters of the category that no known pattern names: they lie outside of ASCII and of the ranges of scripts that
    // DeepSeek's patterns have: U+0800 to U+9FA5, U+AC00 to U+D7FF, and letters with case of before Unicode 5.2.
    private static char StandIn(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter => '\uA7AA',
        UnicodeCategory.LowercaseLetter => '\uA791',
        UnicodeCategory.TitlecaseLetter => '\u01C5',
        UnicodeCategory.ModifierLetter => '\uA717',
        UnicodeCategory.OtherLetter => '\uA000',
        UnicodeCategory.NonSpacingMark => '\uA66F',
        UnicodeCategory.SpacingCombiningMark => '\uA880',
        UnicodeCategory.EnclosingMark => '\uA670',
        UnicodeCategory.DecimalDigitNumber => '\uA620',
        UnicodeCategory.LetterNumber => '\uA6E6',
        UnicodeCategory.OtherNumber => '\uA830',
        UnicodeCategory.ConnectorPunctuation => '\uFE33',
        UnicodeCategory.DashPunctuation => '\uFE31',
        UnicodeCategory.OpenPunctuation => '\uFE35',
        UnicodeCategory.ClosePunctuation => '\uFE36',
        UnicodeCategory.OtherPunctuation => '\uA60D',
        UnicodeCategory.MathSymbol => '\uFB29',
        UnicodeCategory.CurrencySymbol => '\uA838',
        UnicodeCategory.ModifierSymbol => '\uA700',
        UnicodeCategory.OtherSymbol => '\uA490',
        UnicodeCategory.Format => '\uFEFF',
        _ => '\uE000',
    };
}
