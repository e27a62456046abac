namespace Moebius.KvCache.Detection;

/// <summary>
/// Numbers that states give to persons, known by their check digits, a date of birth inside, or the way they are
/// written. What one check digit alone would find in any ninth number needs a word that announces it. Pure.
/// </summary>
internal static class NationalNumbers
{
    private const string DniLetters = "TRWAGMYFPDXBNJZSQVHLCKE";
    private const string HetuLetters = "0123456789ABCDEFHJKLMNPRSTUVWXY";

    /// <summary>Between date and number of a Finnish identity code: the century of birth. All but + and - since 2000 or 2023.</summary>
    private static readonly System.Buffers.SearchValues<char> Centuries = System.Buffers.SearchValues.Create("+-ABCDEFYXWVU");
    private static readonly byte[] FiscalOdd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

    /// <summary>Whether the digits of a cluster, as they are grouped, are such a number.</summary>
    public static bool IsOne(DigitCluster cluster)
    {
        var digits = cluster.Digits;
        Span<int> shape = stackalloc int[Math.Min(cluster.Count, 8)];
        if (cluster.Count > 8)
            return false;
        for (var index = 0; index < shape.Length; index++)
            shape[index] = cluster.Groups[index].Length;
        return digits.Length switch
        {
            9 => shape is [3, 3, 3] && cluster.HasOneSeparator(0, 2) && cluster.Gap(1) is " " or "-" && IsLuhn(digits),
            10 => shape is [6, 4] && cluster.Gap(1) is "-" or "+" && HasDay(digits),
            11 => shape is [11] or [3, 3, 3, 2] or [6, 5] or [2, 2, 2, 3, 2] or [3, 3, 5]
                && (IsCpf(digits) || IsTckn(digits) || IsFodselsnummer(digits) || IsPesel(digits) || IsBelgian(digits) || (shape is [3, 3, 3, 2] && IsSnils(digits))),
            12 => (shape is [4, 4, 4] && IsVerhoeff(digits) && digits[0] >= 2) || (shape is [12] or [8, 4] && digits[0] is 1 or 2 && digits[1] is 9 or 0 && HasDate(digits[2..]) && IsLuhn(digits[2..])),
            13 => (shape is [6, 7] && HasDate(digits) && digits[6] is >= 1 and <= 4) || (shape is [13] or [3, 4, 4, 2] && digits is [7, 5, 6, ..] && IsEan(digits)),
            14 => shape is [14] or [2, 3, 3, 4, 2] && IsCnpj(digits),
            15 => shape is [15] or [1, 2, 2, 2, 3, 3, 2] or [13, 2] && IsNir(digits),
            18 => shape is [18] or [6, 8, 4] && IsResident(digits, Digit(digits[17])),
            _ => false,
        };
    }

    /// <summary>Whether a word of letters and digits is such a number; dashes and dots count nothing.</summary>
    public static bool IsOne(ReadOnlySpan<char> token)
    {
        if (token.Length is < 9 or > 21)
            return false;
        Span<char> plain = stackalloc char[21];
        var length = 0;
        foreach (var character in token)
        {
            if (character is not ('-' or '.' or '+' or ' '))
                plain[length++] = char.ToUpperInvariant(character);
        }

        plain = plain[..length];
        return length switch
        {
            9 => IsDni(plain),
            10 => token.Length == 11 && token[6] is '-' or '+' && IsHetu(plain[..6], plain[6..]),
            11 => token.Length == 11 && Centuries.Contains(token[6]) && IsHetu(plain[..6], plain[7..]),
            16 => IsFiscalCode(plain),
            18 => plain[17] == 'X' && !plain[..17].ContainsAnyExceptInRange('0', '9') && IsResident(plain),
            _ => false,
        };
    }

    private static char Digit(byte digit) => (char)('0' + digit);

    private static bool HasDay(ReadOnlySpan<byte> digits) =>
        (digits[2] * 10) + digits[3] is >= 1 and <= 12 && (digits[4] * 10) + digits[5] is >= 1 and <= 31
        || (digits[0] * 10) + digits[1] is >= 1 and <= 31 && (digits[2] * 10) + digits[3] is >= 1 and <= 12;

    /// <summary>Year, month, day in two digits each.</summary>
    private static bool HasDate(ReadOnlySpan<byte> digits) =>
        (digits[2] * 10) + digits[3] is >= 1 and <= 12 && (digits[4] * 10) + digits[5] is >= 1 and <= 31;

    private static bool IsLuhn(ReadOnlySpan<byte> digits)
    {
        var sum = 0;
        for (var index = 0; index < digits.Length; index++)
        {
            int digit = digits[^(index + 1)];
            sum += (index & 1) == 0 ? digit : digit > 4 ? (2 * digit) - 9 : 2 * digit;
        }

        return sum % 10 == 0;
    }

    private static int Sum(ReadOnlySpan<byte> digits, ReadOnlySpan<byte> weights)
    {
        var sum = 0;
        for (var index = 0; index < weights.Length; index++)
            sum += digits[index] * weights[index];
        return sum;
    }

    private static int Eleven(int sum) => sum % 11 is var rest && rest < 2 ? 0 : 11 - rest;

    /// <summary>Brazil, persons.</summary>
    private static bool IsCpf(ReadOnlySpan<byte> d) =>
        d.IndexOfAnyExcept(d[0]) >= 0 && Eleven(Sum(d, [10, 9, 8, 7, 6, 5, 4, 3, 2])) == d[9] && Eleven(Sum(d, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2])) == d[10];

    /// <summary>Brazil, companies.</summary>
    private static bool IsCnpj(ReadOnlySpan<byte> d) =>
        Eleven(Sum(d, [5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == d[12] && Eleven(Sum(d, [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == d[13];

    /// <summary>Türkiye.</summary>
    private static bool IsTckn(ReadOnlySpan<byte> d) =>
        d[0] != 0 && Sum(d, [7, 9, 7, 9, 7, 9, 7, 9, 7]) % 10 == d[9] && Sum(d, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]) % 10 == d[10];

    /// <summary>Norway: day, month, year and two check digits.</summary>
    private static bool IsFodselsnummer(ReadOnlySpan<byte> d) =>
        HasDay(d) && (11 - (Sum(d, [3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11)) % 11 == d[9] && (11 - (Sum(d, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11)) % 11 == d[10];

    /// <summary>Poland: a date with the century in its month, and a check digit.</summary>
    private static bool IsPesel(ReadOnlySpan<byte> d)
    {
        var month = ((d[2] * 10) + d[3]) % 20;
        return month is >= 1 and <= 12 && (d[4] * 10) + d[5] is >= 1 and <= 31 && (10 - (Sum(d, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)) % 10 == d[10];
    }

    /// <summary>Belgium: a date, a number, and 97 minus the rest.</summary>
    private static bool IsBelgian(ReadOnlySpan<byte> d)
    {
        long value = 0;
        for (var index = 0; index < 9; index++)
            value = (value * 10) + d[index];
        var check = (d[9] * 10) + d[10];
        return HasDate(d) && (97 - (value % 97) == check || 97 - ((value + 2_000_000_000) % 97) == check);
    }

    /// <summary>Russia, pensions.</summary>
    private static bool IsSnils(ReadOnlySpan<byte> d) => Sum(d, [9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100 == (d[9] * 10) + d[10];

    /// <summary>Swiss AHV, an EAN of 13 digits.</summary>
    private static bool IsEan(ReadOnlySpan<byte> d) => (10 - (Sum(d, [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]) % 10)) % 10 == d[12];

    /// <summary>France: sex, year, month, place and order, and 97 minus the rest.</summary>
    private static bool IsNir(ReadOnlySpan<byte> d)
    {
        long value = 0;
        for (var index = 0; index < 13; index++)
            value = (value * 10) + d[index];
        return d[0] is 1 or 2 && (d[3] * 10) + d[4] is >= 1 and <= 42 && 97 - (value % 97) == (d[13] * 10) + d[14];
    }

    /// <summary>China: place, date, order and a check character (ISO 7064 mod 11-2).</summary>
    private static bool IsResident(ReadOnlySpan<byte> d, char check)
    {
        var year = (d[6] * 1000) + (d[7] * 100) + (d[8] * 10) + d[9];
        return year is >= 1900 and <= 2100 && HasDate(d[8..]) && "10X98765432"[Sum(d, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11] == check;
    }

    private static bool IsResident(ReadOnlySpan<char> text)
    {
        Span<byte> digits = stackalloc byte[18];
        for (var index = 0; index < 17; index++)
            digits[index] = (byte)(text[index] - '0');
        return IsResident(digits, text[17]);
    }

    /// <summary>India: the check digit of Verhoeff.</summary>
    private static bool IsVerhoeff(ReadOnlySpan<byte> digits)
    {
        ReadOnlySpan<byte> step = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
        var check = 0;
        for (var index = 0; index < digits.Length; index++)
        {
            int digit = digits[^(index + 1)];
            for (var turn = index % 8; turn > 0; turn--)
                digit = step[digit];
            check = Dihedral(check, digit);
        }

        return check == 0;
    }

    /// <summary>The product in the dihedral group of order ten.</summary>
    private static int Dihedral(int left, int right) => (left < 5, right < 5) switch
    {
        (true, true) => (left + right) % 5,
        (true, false) => 5 + ((left + right) % 5),
        (false, true) => 5 + ((left - right + 5) % 5),
        _ => (left - right + 5) % 5,
    };

    /// <summary>Spain: eight digits and a letter, or X, Y or Z, seven digits and a letter.</summary>
    private static bool IsDni(ReadOnlySpan<char> text)
    {
        if (text[1..8].ContainsAnyExceptInRange('0', '9') || !char.IsAsciiLetter(text[8]))
            return false;
        var first = text[0] switch { 'X' => 0, 'Y' => 1, 'Z' => 2, >= '0' and <= '9' and var digit => digit - '0', _ => -1 };
        return first >= 0 && DniLetters[((first * 10_000_000) + int.Parse(text[1..8], System.Globalization.CultureInfo.InvariantCulture)) % 23] == text[8];
    }

    /// <summary>Finland: day, month, year, a sign for the century, and a check character.</summary>
    private static bool IsHetu(ReadOnlySpan<char> date, ReadOnlySpan<char> rest)
    {
        if (date.ContainsAnyExceptInRange('0', '9') || rest[..3].ContainsAnyExceptInRange('0', '9'))
            return false;
        var day = int.Parse(date, System.Globalization.CultureInfo.InvariantCulture);
        var number = (day * 1000) + int.Parse(rest[..3], System.Globalization.CultureInfo.InvariantCulture);
        return day / 10_000 is >= 1 and <= 31 && day / 100 % 100 is >= 1 and <= 12 && HetuLetters[number % 31] == rest[3];
    }

    /// <summary>Italy: six letters, year, a letter for the month, day, place and a check letter.</summary>
    private static bool IsFiscalCode(ReadOnlySpan<char> text)
    {
        var sum = 0;
        for (var index = 0; index < 16; index++)
        {
            var character = text[index];
            var letter = char.IsAsciiLetterUpper(character);
            if (!letter && !char.IsAsciiDigit(character))
                return false;
            if ((index < 6 || index is 8 or 11 or 15) && !letter)
                return false;
            var value = letter ? character - 'A' : character - '0';
            if (index < 15)
                sum += (index & 1) == 1 ? value : FiscalOdd[value];
        }

        return text[15] == 'A' + (sum % 26);
    }
}
