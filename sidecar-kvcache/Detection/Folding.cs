using System.Globalization;
using System.Text;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Maps characters that look alike onto one: digits of every script, full-width, mathematical and circled forms,
/// Cyrillic and Greek letters that look Latin, the many dashes, dots and spaces. What the rules read is folded, and so
/// are the words they look for, so that a word of a real language still matches itself.
/// </summary>
internal static class Folding
{
    /// <summary>Stands for characters that are dropped: they have no width.</summary>
    public const char Dropped = '\0';

    private const string LookAlikes =
        "аaеeоoрpсcуyхxіiјjѕsһhԁdԛqԝwӏlАAВBЕEКKМMНHОOРPСCТTУYХXІIЈJЅSԌGԚQԜWҮY" +
        "αaοoρpνvυuιiκkχxΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧX" +
        "ɑaɡgɩiʏyᴀaᴄcᴅdᴇeᴊjᴋkᴍmᴏoᴘpᴛtᴜuᴠvᴡwᴢzℓlℯeℴoⅼlⅽcⅾdⅿmⅰiⅴvⅹxⅠIⅤVⅩXⅬLⅭCⅮDⅯM" +
        "٫.٬,。.．.․.‧.·.∙.•.・.﹒.‐-‑-‒-–-—-―-−-﹣-－-⁃-➖-＿_﹍_＠@﹫@：:﹕:∶:꞉:＋+﹢+⁺+／/⁄/∕/（(）)［[］]｛{｝}，,﹐,﹑,､,＝=﹦=＃#％%＆&＊*；;？?！!～~" +
        "‘'’'‛'′'‵'`'´'“\"”\"″\"〃\"";

    private static readonly char[] Table = Build();

    /// <summary>The character that this one counts as; <see cref="Dropped"/> when it has no width.</summary>
    public static char Fold(char character) => character < 128 ? character : Table[character];

    /// <summary>The ASCII letter or digit that a character beyond the basic plane stands for, or '\0'.</summary>
    public static char FoldAstral(int codePoint)
    {
        // Mathematical letters and digits, enclosed alphanumerics: compatibility forms of ASCII.
        if (codePoint is (>= 0x1D400 and <= 0x1D7FF) or (>= 0x1F100 and <= 0x1F1FF) or (>= 0x1FBF0 and <= 0x1FBF9))
        {
            var normal = char.ConvertFromUtf32(codePoint).Normalize(NormalizationForm.FormKC);
            foreach (var character in normal)
            {
                if (char.IsAsciiLetterOrDigit(character))
                    return character;
            }

            if (codePoint is >= 0x1F130 and <= 0x1F149)
                return (char)('A' + codePoint - 0x1F130);
            if (codePoint is >= 0x1F150 and <= 0x1F169)
                return (char)('A' + codePoint - 0x1F150);
            if (codePoint is >= 0x1F170 and <= 0x1F189)
                return (char)('A' + codePoint - 0x1F170);
            return normal.Length == 1 ? Fold(normal[0]) : '\0';
        }

        var digit = CharUnicodeInfo.GetDecimalDigitValue(char.ConvertFromUtf32(codePoint), 0);
        return digit >= 0 ? (char)('0' + digit) : '\0';
    }

    /// <summary>A word as it looks after folding, in lower case.</summary>
    public static string Word(string word) => string.Concat(word.Select(Fold).Where(character => character != Dropped)).ToLowerInvariant();

    private static char[] Build()
    {
        var table = new char[char.MaxValue + 1];
        for (var code = 0; code < table.Length; code++)
            table[code] = FoldByCategory((char)code);
        for (var index = 0; index < LookAlikes.Length; index += 2)
            table[LookAlikes[index]] = LookAlikes[index + 1];
        return table;
    }

    private static char FoldByCategory(char character)
    {
        if (character < 128)
            return character;
        var digit = CharUnicodeInfo.GetDigitValue(character);
        if (digit >= 0)
            return (char)('0' + digit);
        switch (char.GetUnicodeCategory(character))
        {
            case UnicodeCategory.Format:
            case UnicodeCategory.NonSpacingMark when character is >= '\u0300' and <= '\u036F' or >= '\uFE00' and <= '\uFE0F':
                return Dropped;
            case UnicodeCategory.SpaceSeparator:
            case UnicodeCategory.Control:
                return ' ';
            case UnicodeCategory.LineSeparator:
            case UnicodeCategory.ParagraphSeparator:
                return '\n';
        }

        if (character is '\u115F' or '\u1160' or '\u3164' or '\uFFA0' or '\u00AD' or '\u034F')
            return Dropped;
        // Full-width and enclosed forms.
        if (character is (>= '\uFF01' and <= '\uFF5E'))
            return (char)(character - 0xFEE0);
        if (character is >= '\u24B6' and <= '\u24CF')
            return (char)('A' + character - '\u24B6');
        if (character is >= '\u24D0' and <= '\u24E9')
            return (char)('a' + character - '\u24D0');
        return character;
    }
}
