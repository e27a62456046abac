using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Payment cards in a cluster: an issuer's first digits and length, the check digit, and groups as people write cards.</summary>
internal sealed class CardScanner(ScanView view, FindingSink sink, DigitCluster cluster)
{
    private const int Fewest = 12;
    private const int Most = 19;

    private (int Even, int Odd)[] _sums = new (int Even, int Odd)[64];

    /// <summary>Windows of whole groups with the digits of a card.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool TryCards()
    {
        var digits = cluster.Digits;
        if (digits.Length < Fewest)
            return false;
        var groups = cluster.Groups;
        var (found, offset) = (false, 0);
        SumUp(digits);
        for (var first = 0; first < groups.Length; first++)
        {
            var length = 0;
            if (digits.Length - offset >= Fewest && Checks.LengthsOfCards(digits[offset], digits[offset + 1]) is var lengths and not 0)
            {
                // Of single digits the first that may be a card are known.
                var skipped = digits.Length == groups.Length ? Fewest - 1 : 0;
                length = skipped;
                for (var last = first + skipped; last < groups.Length && length + groups[last].Length <= Most; last++)
                {
                    length += groups[last].Length;
                    if ((lengths & (1u << length)) == 0 || (!HasCheckDigit(offset, length) && !(first == 0 && IsPrintedCard(first, last))) || !HasCardGroups(first, last))
                        continue;
                    found |= sink.Add(view, SecretKind.CreditCard, groups[first].Start, groups[last].End);
                    // Behind this card the next may start.
                    for (; first < last; first++)
                        offset += groups[first].Length;
                    break;
                }
            }

            offset += groups[first].Length;
        }

        return found;
    }

    /// <summary>Sums of all digits up to each, with every second one doubled: of the even ones, and of the odd ones.</summary>
    private void SumUp(ReadOnlySpan<byte> digits)
    {
        if (_sums.Length < digits.Length + 1)
            _sums = new (int Even, int Odd)[2 * (digits.Length + 1)];
        var (even, odd) = (0, 0);
        for (var index = 0; index < digits.Length; index++)
        {
            int digit = digits[index];
            var doubled = digit > 4 ? (2 * digit) - 9 : 2 * digit;
            even += (index & 1) == 0 ? doubled : digit;
            odd += (index & 1) == 0 ? digit : doubled;
            _sums[index + 1] = (even, odd);
        }
    }

    /// <summary>Luhn: from the last digit back every second one is doubled.</summary>
    private bool HasCheckDigit(int offset, int length)
    {
        var end = offset + length;
        var sum = (end & 1) == 0 ? _sums[end].Even - _sums[offset].Even : _sums[end].Odd - _sums[offset].Odd;
        return sum % 10 == 0;
    }

    /// <summary>
    /// One run of digits, the groups that are printed on cards, or groups of one size: a table of numbers passes the
    /// check digit one time in ten and is no card. A line may break once inside.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool HasCardGroups(int first, int last)
    {
        if (!IsAlone(first, last))
            return false;
        if (first == last)
            return true;
        Span<int> lengths = stackalloc int[last - first + 1];
        lengths = lengths[..cluster.Join(first, last, lengths, out var separator, out var breaks)];
        // Columns of a table.
        if (separator.IndexOfAny('?', '\t') >= 0 || (breaks > 1 && (first > 0 || last < cluster.Count - 1)))
            return false;
        // 1861 1862 1863 1864 has the shape of a card; years are no card.
        var years = true;
        for (var index = first; index <= last; index++)
            years &= cluster.IsYear(index);
        if (years)
            return false;
        if (lengths is [_] or [4, 4, 4, 4] or [4, 6, 5] or [4, 6, 4] or [4, 4, 4, 4, 3] or [6, 13] or [4, 4, 5] or [4, 5, 6] or [8, 8] or [4, 4, 4, 1] or [4, 4, 4, 3] or [4, 4, 4, 2] or [4, 4, 4] or [4, 4, 4, 4, 1] or [4, 4, 4, 4, 2])
            return true;
        return breaks == 0 && (IsUniform(lengths) || (cluster.IsRewritten && lengths.Length <= 6));
    }

    /// <summary>Ones, twos or fives in a row, the last group perhaps shorter.</summary>
    private static bool IsUniform(ReadOnlySpan<int> lengths)
    {
        if (lengths[0] is 3 or > 5)
            return false;
        for (var index = 1; index < lengths.Length - 1; index++)
        {
            if (lengths[index] != lengths[0])
                return false;
        }

        return lengths[^1] <= lengths[0];
    }

    /// <summary>Digits of a decimal are no card: 2.718281828459045.</summary>
    private bool IsAlone(int first, int last) =>
        (first == 0 || cluster.Gap(first) is not ".") && (last + 1 == cluster.Count || cluster.Gap(last + 1) is not ".");

    /// <summary>Four groups of four as on a card: a digit may be mistyped.</summary>
    private bool IsPrintedCard(int first, int last)
    {
        if (first != 0 || last is not (3 or 4) || last != cluster.Count - 1 || cluster.Digits[0] is < 3 or > 6 || cluster.Gap(1).Length != 1 || cluster.Gap(1)[0] is not (' ' or '-') || !cluster.HasOneSeparator(first, last))
            return false;
        foreach (var group in cluster.Groups)
        {
            if (group.Length != 4)
                return false;
        }

        return true;
    }
}
