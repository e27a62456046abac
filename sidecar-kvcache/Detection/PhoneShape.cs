using System.Runtime.CompilerServices;

namespace Moebius.KvCache.Detection;

/// <summary>
/// Whether digits that nothing announces look like a telephone number: a plus, a trunk zero, brackets, or groups as
/// telephone numbers have them. Dates, decimals, columns of tables, products and parts of identifiers do not.
/// </summary>
internal sealed class PhoneShape(ScanView view, DigitCluster cluster)
{
    private const int Fewest = 7;
    private const int Most = 15;

    /// <summary>Digits of a number without a plus or a zero before it: a country's code of two and eleven more.</summary>
    private const int MostApart = 13;

    private static readonly System.Buffers.SearchValues<char> NeverInPhones = System.Buffers.SearchValues.Create("*|[]_#\t\n\r年月년월");

    private readonly char[] _text = view.Text;

    /// <param name="first">Where the number begins with its plus or bracket.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Fits(int first)
    {
        var (count, total) = (cluster.Count, cluster.Total);
        if (total is < Fewest or > Most)
            return false;
        if (HasPlus(first))
            return true;
        if (cluster.IsDecimal || IsPartOfToken(first) || !HasPhoneGaps(out var spread))
            return false;
        var digits = cluster.Digits;
        if (digits is [0, 0, 0, ..])
            return false;
        if (count == 1)
            return IsBareNumber(digits);
        if (IsTable() || HoldsDate() || IsRange())
            return false;
        var groups = cluster.Groups;
        var (largest, years, pairs, threes) = (0, 0, 0, 0);
        for (var index = 0; index < count; index++)
        {
            largest = Math.Max(largest, groups[index].Length);
            years += cluster.IsYear(index) ? 1 : 0;
            pairs += groups[index].Length == 2 ? 1 : 0;
            threes += groups[index].Length == 3 ? 1 : 0;
        }

        // 06 12 34 56 78; other rows of pairs are bytes and the like.
        if (pairs == count)
            return digits[0] == 0 && total == 10;
        if (digits[0] == 0 && groups[0].Length == 1 && largest > 1)
            return false;
        if (digits[0] == 0 && groups[0].Length >= 2 && total >= 8)
            return !spread || largest > 2;
        if (years == count || (years > 0 && total - (4 * years) < 6 && largest <= 4))
            return false;
        if (_text[first] == '(')
            return groups[0].Length >= 2 && total >= 9;
        if (spread)
            return false;
        if (total == 7)
            return count == 2 && groups[0].Length == 3 && _text[groups[0].End] is '-' or '.';
        // 130 589 450 217 is an amount, 612 345 678 may be a number.
        if (threes == count && (count != 3 || cluster.Gap(1) is "."))
            return false;
        // bbox 10 20 300 400.
        if (count > 3 && largest <= 3 && AreTens())
            return false;
        if (largest >= 3)
            return ((total is >= 9 and <= 12 && largest < total - 1) || (total >= 9 && cluster.IsRewritten)) || (total == 8 && _text[groups[0].End] is '-' or '.' or '/');
        // Single digits and pairs: 4 0 7 8 9 7 7 5 4 7 is a number in disguise, 1 2 3 4 5 6 7 8 9 10 is counting.
        // 12.34.56.78.9 and the digits of pi are none either.
        return total >= 9 && !IsProgression() && (largest == 1 ? total <= MostApart : groups[^1].Length > 1);
    }

    /// <summary>+49 30 1234567, but not x+1234567.</summary>
    private bool HasPlus(int first)
    {
        var plus = _text[first] == '+' ? first : first + 1 < view.Length && _text[first + 1] == '+' ? first + 1 : -1;
        return plus >= 0 && (plus == 0 || !char.IsAsciiLetterOrDigit(_text[plus - 1]) || _text[plus - 1] == 'n');
    }

    /// <summary>Part of an identifier: CVE-2023-97651, ee22d9e9-5395-8485-e20e; 2e of a row of bytes.</summary>
    private bool IsPartOfToken(int first)
    {
        if (first > 1 && _text[first - 1] is '-' or '.' or '_' or '/' or '^' or '=' && char.IsAsciiLetterOrDigit(_text[first - 2]) && !(_text[first - 1] == '=' && !char.IsAsciiDigit(_text[first - 2])))
            return true;
        var end = cluster.End;
        if (end >= view.Length || view.IsRewritten)
            return false;
        if (char.IsAsciiLetter(_text[end]))
            return (_text[end] | 0x20) != 'x' && !_text.AsSpan(end, Math.Min(3, view.Length - end)).StartsWith("ext", StringComparison.OrdinalIgnoreCase);
        return end + 1 < view.Length && ((_text[end] is '-' or '_' && char.IsAsciiLetterOrDigit(_text[end + 1])) || (_text[end] == '.' && char.IsAsciiDigit(_text[end + 1])));
    }

    /// <summary>A bare number: sizes, identifiers, times and amounts are mostly shorter or longer than a national number, or round.</summary>
    private bool IsBareNumber(ReadOnlySpan<byte> digits)
    {
        if (digits[^4..].IndexOfAnyExcept((byte)0) < 0)
            return false;
        if (digits[0] == 0)
            return digits.Length is >= 8 and <= 15 && digits.IndexOfAnyExcept((byte)0, (byte)1) >= 0;
        if (cluster.IsRewritten)
            return digits.Length is >= 8 and <= MostApart;
        // 4294967296 is a size.
        if (System.Numerics.BitOperations.IsPow2(Value(digits)) || System.Numerics.BitOperations.IsPow2(Value(digits) + 1))
            return false;
        // 1760000000 is a time of Unix. A country's code and a number have twelve digits or more.
        return digits.Length switch
        {
            10 => digits[0] != 1,
            11 => true,
            12 or 13 => (digits[0] * 10) + digits[1] is 33 or 34 or 39 or 44 or 49 or 52 or 55 or 62 or 81 or 86 or 90 or 91,
            _ => false,
        };
    }

    private static long Value(ReadOnlySpan<byte> digits)
    {
        long value = 0;
        foreach (var digit in digits)
            value = (value * 10) + digit;
        return value;
    }

    /// <summary>Whether the separators are those of telephone numbers.</summary>
    /// <param name="spread">Columns: a gap of more than one space.</param>
    private bool HasPhoneGaps(out bool spread)
    {
        spread = false;
        var (dot, space) = (false, false);
        for (var index = 1; index < cluster.Count; index++)
        {
            var gap = cluster.Gap(index);
            if (gap.IndexOfAny(NeverInPhones) >= 0)
                return IsSpreadOut();
            spread |= gap.StartsWith("  ");
            dot |= gap.Contains('.');
            space |= gap is " ";
        }

        // 30.882749 11776: decimals in a row.
        return !(dot && space);
    }

    /// <summary>Single digits with one and the same sign between them: nobody writes numbers like that without a reason.</summary>
    private bool IsSpreadOut()
    {
        foreach (var group in cluster.Groups)
        {
            if (group.Length > 1)
                return false;
        }

        return cluster.HasOneSeparator(0, cluster.Count - 1) && cluster.Gap(1).Length == 1;
    }

    private bool HoldsDate()
    {
        for (var index = 0; index + 3 <= cluster.Count; index++)
        {
            if (cluster.IsDateAt(index) && (cluster.IsYear(index) || cluster.IsYear(index + 2)))
                return true;
        }

        // 20240118-22: what is numbered by days.
        return cluster.Groups[0].Length == 8 && cluster.Value(0) is >= 19000101 and <= 21001231 && cluster.Value(0) / 100 % 100 is >= 1 and <= 12 && cluster.Value(0) % 100 is >= 1 and <= 31;
    }

    private bool AreTens()
    {
        for (var index = 0; index < cluster.Count; index++)
        {
            if (cluster.Value(index) % 10 != 0)
                return false;
        }

        return true;
    }

    /// <summary>4000-6000 and the like.</summary>
    private bool IsRange() => cluster.Count == 2 && cluster.Groups[0].Length == cluster.Groups[1].Length && cluster.Value(0) % 100 == 0 && cluster.Value(1) % 100 == 0;

    /// <summary>Decimals in a row, or a version of four parts: 12.63 12.97 10.47; 6.18.44.470.</summary>
    private bool IsTable()
    {
        var (dots, spaces, count) = (0, 0, cluster.Count);
        for (var index = 1; index < count; index++)
        {
            dots += cluster.Gap(index) is "." ? 1 : 0;
            spaces += cluster.Gap(index) is " " ? 1 : 0;
        }

        var decimals = dots >= 2 && spaces == dots - 1 && dots + spaces == count - 1 && _text[cluster.Groups[0].End] == '.';
        return decimals || (dots == 3 && count == 4 && cluster.Groups[0].Length <= 2);
    }

    private bool IsProgression()
    {
        if (cluster.Count < 3)
            return false;
        var step = cluster.Value(1) - cluster.Value(0);
        for (var index = 2; index < cluster.Count; index++)
        {
            if (cluster.Value(index) - cluster.Value(index - 1) != step)
                return false;
        }

        return true;
    }
}
