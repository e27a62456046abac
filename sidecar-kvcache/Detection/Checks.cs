namespace Moebius.KvCache.Detection;

/// <summary>Check digits and shapes of single values. Pure.</summary>
internal static class Checks
{
    /// <summary>ISO 13616 lengths, by country.</summary>
    private static readonly byte[] IbanLengths = ReadIbanLengths(
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30");

    /// <summary>Length of an IBAN of this country; 0: no such country.</summary>
    public static int IbanLength(char first, char second) =>
        char.IsAsciiLetter(first) && char.IsAsciiLetter(second) ? IbanLengths[CountryIndex(first, second)] : 0;

    /// <summary>Countries whose account numbers have digits only, by the first two letters of an IBAN.</summary>
    private static readonly bool[] DigitsOnly = ReadCountries("AE AT BA BE CZ DE DK EE ES FI FO GL HR HU IL IS LT LY ME MN MR NO PL PT RS SE SI SK SO TL TN VA XK");

    /// <summary>Whether behind the first four characters of this country's IBANs there are digits only.</summary>
    public static bool HasDigitsOnly(char first, char second) => DigitsOnly[CountryIndex(first, second)];

    private static int CountryIndex(char first, char second) => ((((first | 0x20) - 'a') * 26) + (second | 0x20)) - 'a';

    /// <summary>ISO 7064 mod 97-10 over the IBAN with its first four characters moved to the end.</summary>
    public static bool IsIban(ReadOnlySpan<char> compact) => Remainder(compact[..4], Remainder(compact[4..], 0)) == 1;

    private static int Remainder(ReadOnlySpan<char> part, int remainder)
    {
        // A division only when the next character might not fit any more.
        var value = (ulong)remainder;
        foreach (var character in part)
        {
            if (value > ulong.MaxValue / 1000)
                value %= 97;
            value = char.IsAsciiDigit(character) ? (value * 10) + (uint)(character - '0') : (value * 100) + (uint)((character & ~0x20) - 'A' + 10);
        }

        return (int)(value % 97);
    }

    /// <summary>Whether a United States social security number may have these digits.</summary>
    public static bool IsSsn(ReadOnlySpan<byte> digits)
    {
        if (digits.Length != 9)
            return false;
        var area = (digits[0] * 100) + (digits[1] * 10) + digits[2];
        return area is not 0 and not 666 && (digits[3] | digits[4]) != 0 && (digits[5] | digits[6] | digits[7] | digits[8]) != 0;
    }

    private static readonly uint[] CardLengths = [.. Enumerable.Range(0, 100).Select(LengthsOf)];

    /// <summary>How many digits cards have whose numbers start with these two: bit n, so many as n.</summary>
    public static uint LengthsOfCards(byte first, byte second) => CardLengths[(first * 10) + second];

    private static uint LengthsOf(int start) => start switch
    {
        >= 40 and <= 49 => (1u << 13) | (1u << 16) | (1u << 19),
        >= 51 and <= 55 => 1u << 16,
        50 or (>= 56 and <= 59) => From(12),
        60 or 62 or 64 or 65 => From(16),
        >= 61 and <= 69 => From(12),
        34 or 37 => 1u << 15,
        35 => From(16),
        30 or 36 or 38 or 39 => (1u << 14) | (1u << 16) | (1u << 19),
        >= 22 and <= 27 => 1u << 16,
        81 => From(16),
        18 or 21 => 1u << 15,
        _ => 0,
    };

    /// <summary>So many digits to nineteen.</summary>
    private static uint From(int fewest) => (1u << 20) - (1u << fewest);

    private static bool[] ReadCountries(string list)
    {
        var countries = new bool[26 * 26];
        foreach (var country in list.Split(' '))
            countries[CountryIndex(country[0], country[1])] = true;
        return countries;
    }

    private static byte[] ReadIbanLengths(string table)
    {
        var lengths = new byte[26 * 26];
        foreach (var entry in table.Split(' '))
            lengths[CountryIndex(entry[0], entry[1])] = byte.Parse(entry.AsSpan(2), System.Globalization.CultureInfo.InvariantCulture);
        return lengths;
    }
}
