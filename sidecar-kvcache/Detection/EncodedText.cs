using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Text in the encodings that a model reads as easily as plain text: percent signs, HTML entities, escapes of string
/// literals, base64 and hexadecimal digits. Each decoded character stands for the characters that it was written with.
/// </summary>
internal static class EncodedText
{
    // Shorter pieces hide nothing that the rules look for.
    private const int LeastBase64 = 12;
    private const int LeastHex = 16;

    private static readonly byte[] Sextets = BuildSextets();

    // Those of signs that the rules look at. Names are at most eight characters long: see ReadEscape.
    private static readonly Dictionary<string, char> Entities = new(StringComparer.Ordinal)
    {
        ["nbsp"] = ' ', ["ensp"] = ' ', ["emsp"] = ' ', ["thinsp"] = ' ', ["Tab"] = ' ', ["NewLine"] = '\n', ["shy"] = '\u00AD',
        ["commat"] = '@', ["period"] = '.', ["hyphen"] = '-', ["dash"] = '-', ["ndash"] = '-', ["mdash"] = '-', ["minus"] = '-', ["colon"] = ':', ["semi"] = ';', ["comma"] = ',',
        ["amp"] = '&', ["AMP"] = '&', ["lt"] = '<', ["LT"] = '<', ["gt"] = '>', ["GT"] = '>', ["quot"] = '"', ["QUOT"] = '"', ["apos"] = '\'', ["equals"] = '=', ["plus"] = '+', ["sol"] = '/',
        ["bsol"] = '\\', ["lpar"] = '(', ["rpar"] = ')', ["lsqb"] = '[', ["rsqb"] = ']', ["lbrack"] = '[', ["rbrack"] = ']', ["lowbar"] = '_', ["num"] = '#', ["percnt"] = '%', ["excl"] = '!', ["quest"] = '?',
        ["dollar"] = '$', ["ast"] = '*', ["verbar"] = '|', ["vert"] = '|',
    };

    /// <summary>The view with its escapes read, or null when there are none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ScanView? Unescape(ScanView view)
    {
        RewrittenText? text = null;
        var position = 0;
        while (position < view.Length)
        {
            var next = view.Written.AsSpan(position, view.Length - position).IndexOfAny('%', '&', '\\');
            if (next < 0)
                break;
            position += next;
            if (ReadEscape(view, position, out var length) is not { } character)
            {
                position++;
                continue;
            }

            text ??= new RewrittenText(view);
            text.MoveTo(position, position + length);
            if (Folding.Fold(character) is var plain and not Folding.Dropped)
                text.Add(plain, position, position + length - 1);
            position += length;
        }

        return text?.ToView();
    }

    /// <summary>The view with what is text in base64 or in hexadecimal digits decoded, or null when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ScanView? Decode(ScanView view)
    {
        RewrittenText? text = null;
        var written = view.Written.AsSpan(0, view.Length);
        var position = 0;
        while (position + LeastBase64 <= written.Length)
        {
            // Runs shorter than the least are most of the text: from the end of where one could lie back to what breaks it.
            var back = position + LeastBase64 - 1;
            while (back >= position && IsDigit(written[back]))
                back--;
            if (back >= position)
            {
                position = back + 1;
                continue;
            }

            var (start, end) = (position, position + LeastBase64);
            while (end < written.Length && IsDigit(written[end]))
                end++;
            position = end;
            var piece = written[start..end];
            var hexadecimal = piece.Length >= LeastHex && piece.Length % 2 == 0 && IsText(piece, 2);
            if (!hexadecimal && !IsText(piece, 4))
                continue;
            text ??= new RewrittenText(view);
            text.MoveTo(start, end);
            Add(text, piece, start, hexadecimal ? 2 : 4);
        }

        return text?.ToView();
    }

    /// <summary>Whether the bytes that the digits stand for are text: printable ASCII, or UTF-8 that is mostly letters.</summary>
    /// <param name="digits">Base64, or hexadecimal digits.</param>
    /// <param name="unit">Digits that are read at once: 4 or 2.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool IsText(ReadOnlySpan<char> digits, int unit)
    {
        var character = default(Utf8Character);
        var (letters, others, beyond) = (0, 0, 0);
        for (var index = 0; index + 1 < digits.Length; index += unit)
        {
            var count = Read(digits, index, unit, out var bytes);
            if (count < 0)
                return false;
            for (; count > 0; count--, bytes >>= 8)
            {
                if (!character.Add((byte)bytes))
                    return false;
                if (!character.IsComplete)
                    continue;
                var rune = character.Rune;
                if (rune.IsAscii && rune.Value is not ((>= ' ' and < 127) or '\n' or '\r' or '\t'))
                    return false;
                if (Rune.IsLetter(rune))
                    letters++;
                else
                    others++;
                // Bytes that are no text are seldom nothing but letters when they are read as it.
                if (rune.IsAscii)
                    continue;
                beyond++;
                if (!(Rune.IsLetterOrDigit(rune) || Rune.IsWhiteSpace(rune) || Rune.IsPunctuation(rune) || IsMark(rune)))
                    return false;
            }
        }

        return beyond == 0 ? character.IsComplete : letters >= others;
    }

    private static bool IsMark(Rune rune) => Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.Format;

    private static void Add(RewrittenText text, ReadOnlySpan<char> digits, int start, int unit)
    {
        var character = default(Utf8Character);
        var first = start;
        for (var index = 0; index + 1 < digits.Length; index += unit)
        {
            var count = Read(digits, index, unit, out var bytes);
            for (var number = 0; number < count; number++, bytes >>= 8)
            {
                var last = Math.Min(index + (unit == 2 ? 1 : number + 1), digits.Length - 1);
                if (character.IsComplete)
                    first = start + (unit == 2 ? index : Math.Min(index + number, last));
                character.Add((byte)bytes);
                if (character.IsComplete && Plain(character.Rune) is var plain and not Folding.Dropped)
                    text.Add(plain, first, start + last);
            }
        }
    }

    private static char Plain(Rune rune)
    {
        if (rune.IsBmp)
            return Folding.Fold((char)rune.Value);
        return Folding.IsInvisible(rune.Value) ? Folding.Dropped : Folding.FoldAstral(rune.Value) is var plain and not '\0' ? plain : '\uFFFD';
    }

    /// <summary>A character of UTF-8 byte by byte.</summary>
    private struct Utf8Character
    {
        private int _value;
        private int _missing;
        private int _least;

        public readonly bool IsComplete => _missing == 0;

        public readonly Rune Rune => new(_value);

        /// <summary>Adds a byte. False: this is not UTF-8.</summary>
        public bool Add(byte next)
        {
            if (_missing > 0)
            {
                _value = (_value << 6) | (next & 0x3F);
                return (next & 0xC0) == 0x80 && (--_missing > 0 || (_value >= _least && System.Text.Rune.IsValid(_value)));
            }

            (_value, _missing, _least) = next switch
            {
                < 0x80 => (next, 0, 0),
                < 0xC2 => (0, -1, 0),
                < 0xE0 => (next & 0x1F, 1, 0x80),
                < 0xF0 => (next & 0x0F, 2, 0x800),
                < 0xF5 => (next & 0x07, 3, 0x10000),
                _ => (0, -1, 0),
            };
            return _missing >= 0;
        }
    }

    /// <returns>How many bytes the digits from here on stand for, the first one lowest; -1: they are no such digits.</returns>
    private static int Read(ReadOnlySpan<char> digits, int index, int unit, out int bytes)
    {
        bytes = 0;
        if (unit == 2)
        {
            if (!char.IsAsciiHexDigit(digits[index]) || !char.IsAsciiHexDigit(digits[index + 1]))
                return -1;
            bytes = (HexValue(digits[index]) << 4) | HexValue(digits[index + 1]);
            return 1;
        }

        var count = Math.Min(4, digits.Length - index);
        var bits = 0;
        for (var number = 0; number < 4; number++)
            bits = (bits << 6) | (number < count ? Sextets[digits[index + number]] : 0);
        bytes = (bits >> 16) | (bits & 0xFF00) | ((bits & 0xFF) << 16);
        return count - 1;
    }

    private static int HexValue(char digit) => char.IsAsciiDigit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;

    // One bit for each character of ASCII: - / + 0-9, A-Z _ a-z.
    private const ulong LowDigits = 0x03FFA80000000000;
    private const ulong HighDigits = 0x07FFFFFE87FFFFFE;

    private static bool IsDigit(char character) => character < 128 && (((character < 64 ? LowDigits : HighDigits) >> (character & 63)) & 1) != 0;

    private static byte[] BuildSextets()
    {
        var sextets = new byte[128];
        for (var value = 0; value < 64; value++)
            sextets["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[value]] = (byte)value;
        (sextets['-'], sextets['_']) = (62, 63);
        return sextets;
    }

    /// <summary>%40, %C3%A4, &amp;#64;, &amp;#x40;, &amp;commat;, \\u0040, \\x40, \\n; null: none, or a control character.</summary>
    private static char? ReadEscape(ScanView view, int position, out int length)
    {
        var rest = view.Written.AsSpan(position, Math.Min(10, view.Length - position));
        length = 0;
        var value = -1;
        switch (rest)
        {
            case ['%', ..]:
                value = Hexadecimal(rest[1..], 2);
                length = 3;
                if (value is >= 0xC2 and < 0xF0)
                    value = ReadUtf8(rest, value, out length);
                break;
            case ['\\', 'x', ..]:
                value = Hexadecimal(rest[2..], 2);
                length = 4;
                break;
            case ['\\', 'u', ..]:
                value = Hexadecimal(rest[2..], 4);
                length = 6;
                break;
            // One line break, not an empty line.
            case ['\\', 'r', '\\', 'n', ..]:
                value = '\n';
                length = 4;
                break;
            case ['\\', 'n' or 'r', ..]:
                value = '\n';
                length = 2;
                break;
            case ['\\', 't', ..]:
                value = ' ';
                length = 2;
                break;
            case ['&', '#', ..]:
                var end = rest.IndexOf(';');
                if (end is < 3 or > 7)
                    return null;
                var digits = rest[2..end];
                value = digits[0] is 'x' or 'X' ? Hexadecimal(digits[1..], digits.Length - 1) : Decimal(digits);
                length = end + 1;
                break;
            case ['&', ..]:
                var stop = rest.IndexOf(';');
                if (stop < 3 || !Entities.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(rest[1..stop], out var named))
                    return null;
                (value, length) = (named, stop + 1);
                break;
        }

        return value is (>= ' ' and < 127) or '\n' or (>= 160 and < 0xD800) ? (char)value : null;
    }

    /// <summary>A character of two or three bytes behind percent signs: %C3%A4.</summary>
    private static int ReadUtf8(ReadOnlySpan<char> text, int lead, out int length)
    {
        var bytes = lead < 0xE0 ? 2 : 3;
        length = 3 * bytes;
        var value = lead & (bytes == 2 ? 0x1F : 0x0F);
        for (var number = 1; number < bytes; number++)
        {
            var next = text.Length < (3 * number) + 3 || text[3 * number] != '%' ? -1 : Hexadecimal(text[((3 * number) + 1)..], 2);
            if ((next & 0xC0) != 0x80 || next < 0)
                return -1;
            value = (value << 6) | (next & 0x3F);
        }

        return value;
    }

    private static int Hexadecimal(ReadOnlySpan<char> text, int length)
    {
        if (length < 1 || text.Length < length)
            return -1;
        var value = 0;
        foreach (var character in text[..length])
        {
            if (!char.IsAsciiHexDigit(character))
                return -1;
            value = (value * 16) + HexValue(character);
        }

        return value;
    }

    private static int Decimal(ReadOnlySpan<char> text)
    {
        var value = 0;
        foreach (var character in text)
        {
            if (!char.IsAsciiDigit(character))
                return -1;
            value = (value * 10) + character - '0';
        }

        return value;
    }
}
