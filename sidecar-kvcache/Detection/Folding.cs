using System.Globalization;

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
        // By arithmetic: the program has no tables for normalisation (InvariantGlobalization).
        switch (codePoint)
        {
            case >= 0x1D400 and <= 0x1D6A3:
                return Letter((codePoint - 0x1D400) % 52);
            case >= 0x1D6A8 and <= 0x1D7CB:
                return ((codePoint - 0x1D6A8) % 58) switch
                {
                    < 25 and var capital => Fold((char)('\u0391' + capital)),
                    > 25 and < 51 and var small => Fold((char)('\u03B1' + small - 26)),
                    _ => '\0',
                };
            case >= 0x1D7CE and <= 0x1D7FF:
                return (char)('0' + ((codePoint - 0x1D7CE) % 10));
            case >= 0x1F101 and <= 0x1F10A:
                return (char)('0' + codePoint - 0x1F101);
            case >= 0x1F110 and <= 0x1F129:
                return Letter(codePoint - 0x1F110);
            case >= 0x1F130 and <= 0x1F149:
                return Letter(codePoint - 0x1F130);
            case >= 0x1F150 and <= 0x1F169:
                return Letter(codePoint - 0x1F150);
            case >= 0x1F170 and <= 0x1F189:
                return Letter(codePoint - 0x1F170);
            case >= 0x1F1E6 and <= 0x1F1FF:
                return Letter(codePoint - 0x1F1E6);
            case >= 0x1FBF0 and <= 0x1FBF9:
                return (char)('0' + codePoint - 0x1FBF0);
        }

        var digit = CharUnicodeInfo.GetDecimalDigitValue(char.ConvertFromUtf32(codePoint), 0);
        return digit >= 0 ? (char)('0' + digit) : '\0';
    }

    /// <summary>Whether a character beyond the basic plane has no width: tags, variation selectors and other formats.</summary>
    public static bool IsInvisible(int codePoint) =>
        codePoint is (>= 0xE0000 and <= 0xE0FFF) or (>= 0x1BCA0 and <= 0x1BCA3) or (>= 0x1D173 and <= 0x1D17A);

    /// <summary>Marks of every script's letters, enclosing ones such as that of keycaps, and variation selectors.</summary>
    private static bool IsCombining(char character) =>
        character is (>= '\u0300' and <= '\u036F') or (>= '\uFE00' and <= '\uFE0F') or (>= '\u180B' and <= '\u180F') or (>= '\u1AB0' and <= '\u1AFF')
            or (>= '\u1DC0' and <= '\u1DFF') or (>= '\u20D0' and <= '\u20F0') or (>= '\uFE20' and <= '\uFE2F');

    private static char Letter(int index) => (char)(index < 26 ? 'A' + index : 'a' + index - 26);

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
            case UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark when IsCombining(character):
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
