using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>A run of digits in a cluster.</summary>
internal readonly record struct DigitGroup(int Start, int End)
{
    public int Length => End - Start;
}

/// <summary>
/// Digits that belong together: groups with at most a few separators between them. All that is a number to a person
/// (card, phone, social security, network address, date, position) is judged on one cluster.
/// </summary>
internal sealed class NumberScanner(ScanView view, FindingSink sink, HintTrail hints)
{
    // More than any number that is looked for, spread over single digits; a longer cluster is judged in pieces.
    private const int MaxSeparator = 3;

    /// <summary>Digits of the shortest number that is looked for.</summary>
    private const int LeastNumber = 5;

    private readonly List<DigitGroup> _groups = [];
    private readonly List<byte> _digits = [];
    private readonly char[] _text = view.Text;

    /// <summary>Judges the cluster that starts at a digit.</summary>
    /// <returns>Where to go on.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Scan(int start)
    {
        if (IsShort(start, out var end))
            return end;
        Collect(start);
        end = _groups[^1].End;
        if (!Judge(start))
            ScanPieces();
        return end;
    }

    /// <summary>At most four digits and nothing that joins them to others: none of the rules wants them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool IsShort(int start, out int end)
    {
        end = start;
        while (end < view.Length && char.IsAsciiDigit(_text[end]))
        {
            if (++end - start > LeastNumber - 1)
                return false;
        }

        var next = end;
        while (next < view.Length && next - end < MaxSeparator && IsSeparator(_text[next]))
            next++;
        return next == end || next >= view.Length || !char.IsAsciiDigit(_text[next]);
    }

    private static bool IsSeparator(char character) =>
        character is ' ' or '-' or '.' or '/' or '(' or ')' or '_' or '*' or '\t' or '\n' or '\r' or '|' or '[' or ']' or '·' or '+' or '#';

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Collect(int start)
    {
        _groups.Clear();
        _digits.Clear();
        var position = start;
        while (position < view.Length && char.IsAsciiDigit(_text[position]))
        {
            var groupStart = position;
            while (position < view.Length && char.IsAsciiDigit(_text[position]))
                _digits.Add((byte)(_text[position++] - '0'));
            _groups.Add(new DigitGroup(groupStart, position));
            var next = position;
            var breaks = 0;
            while (next < view.Length && next - position < MaxSeparator && IsSeparator(_text[next]))
                breaks += _text[next++] == '\n' ? 1 : 0;
            if (next == position || breaks > 1 || next >= view.Length || !char.IsAsciiDigit(_text[next]))
                return;
            position = next;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool Judge(int start)
    {
        var count = _groups.Count;
        var total = _digits.Count;
        var first = start;
        while (first > 0 && start - first < 2 && _text[first - 1] is '+' or '(' && first > 0)
            first--;
        var end = _groups[^1].End;
        var before = first > 0 ? _text[first - 1] : ' ';
        var after = end < view.Length ? _text[end] : ' ';
        if (char.IsAsciiLetter(before) || (char.IsAsciiLetter(after) && count == 1))
            return TryHinted(first, end, total);

        if (count == 4 && IsNetworkAddress() && sink.Add(view, SecretKind.NetworkAddress, start, end))
            return true;
        if (TryCards())
            return true;
        // 1,234,567: what a comma joins is an amount.
        if ((before == ',' && first > 1 && char.IsAsciiDigit(_text[first - 2])) || (after == ',' && end + 1 < view.Length && char.IsAsciiDigit(_text[end + 1])))
            return true;
        if (!hints.Near(Hint.Birth, first, 60) && TryHinted(first, end, total))
            return true;
        if (IsDate())
        {
            if (IsRecent())
                hints.SawDate(first, end);
            if (IsRecent() && (hints.Near(Hint.Birth, first, 60) || IsWholeLine(first, end)))
                sink.Add(view, SecretKind.DateOfBirth, first, end);
            return true;
        }

        if (TryHinted(first, end, total))
            return true;
        if (hints.Near(Hint.Book, first, 12))
            return true;
        if (before is '$' or '£' or '€' or '¥')
            return true;
        if (count == 3 && _groups[0].Length == 3 && _groups[1].Length == 2 && _groups[2].Length == 4 && IsSsn() && sink.Add(view, SecretKind.UsSsn, start, end))
            return true;
        return IsPhone(first, total) && sink.Add(view, SecretKind.Phone, first, end);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryHinted(int first, int end, int total)
    {
        foreach (var (hint, least, most, distance) in Hinted)
        {
            if (total >= least && total <= most && hints.Near(hint, first, distance) && sink.Add(view, Vocabulary.KindOf(hint), first, end))
                return true;
        }

        return false;
    }

    private static readonly (Hint Hint, int Least, int Most, int Distance)[] Hinted =
    [
        (Hint.Ssn, 9, 11, 40), (Hint.Passport, 5, 12, 40), (Hint.Licence, 5, 16, 40), (Hint.Medical, 5, 16, 40),
        (Hint.Phone, 6, 17, 40), (Hint.Card, 12, 19, 40), (Hint.Bank, 8, 30, 40),
    ];

    /// <summary>Windows of whole groups with the digits of a card. The check sums grow along with the window.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryCards()
    {
        if (_digits.Count < 13)
            return false;
        var found = false;
        Span<byte> digits = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_digits);
        var offset = 0;
        for (var first = 0; first < _groups.Count; first++)
        {
            var (length, even, odd) = (0, 0, 0);
            if (Checks.HasIssuer(digits[offset..]))
            {
                for (var last = first; last < _groups.Count && length + _groups[last].Length <= 20; last++)
                {
                    for (var group = _groups[last].Length; group > 0; group--, length++)
                    {
                        int digit = digits[offset + length];
                        var doubled = digit > 4 ? (2 * digit) - 9 : 2 * digit;
                        even += (length & 1) == 0 ? doubled : digit;
                        odd += (length & 1) == 0 ? digit : doubled;
                    }

                    if (length < 13 || (((length & 1) == 0 ? even : odd) % 10 != 0 && !IsPrintedCard(first, last)) || !IsCardShape(first, last, length))
                        continue;
                    found |= sink.Add(view, SecretKind.CreditCard, _groups[first].Start, _groups[last].End);
                    // Behind this card the next may start.
                    for (; first < last; first++)
                        offset += _groups[first].Length;
                    break;
                }
            }

            offset += _groups[first].Length;
        }

        return found;
    }

    /// <summary>A table of numbers is no card: years and counts in a row pass the check digit one time in ten.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool IsCardShape(int first, int last, int length)
    {
        if (first == last)
            return true;
        var (fours, small) = (0, 0);
        for (var index = first; index <= last; index++)
        {
            if (_groups[index].Length == 4)
                fours++;
            if (_groups[index].Length <= 2)
                small++;
        }

        // 1861 1862 1863 1864 has the shape of a card; years are no card.
        var years = true;
        for (var index = first; index <= last; index++)
            years &= _groups[index].Length == 4 && IsYear(index);
        return !years && (small == 0 || small == last - first + 1 || length >= 15 || fours >= 2);
    }

    /// <summary>Four groups of four as on a card: a digit may be mistyped.</summary>
    private bool IsPrintedCard(int first, int last) =>
        first == 0 && last is 3 or 4 && last == _groups.Count - 1 && _groups.TrueForAll(static group => group.Length == 4) && _digits[0] is >= 3 and <= 6;

    private bool IsNetworkAddress()
    {
        var dots = true;
        for (var index = 0; index < 4; index++)
        {
            dots &= _groups[index].Length <= 3 && Value(index) <= 255;
            if (index > 0)
                dots &= _text.AsSpan(_groups[index - 1].End, _groups[index].Start - _groups[index - 1].End).Contains('.');
        }

        // 0.0.0.0 and 127.0.0.1 are every machine's.
        return dots && Value(0) is not (0 or 127);
    }

    private bool IsSsn()
    {
        Span<byte> digits = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_digits);
        return Checks.IsSsn(digits);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool IsPhone(int first, int total)
    {
        var count = _groups.Count;
        if (total is < 7 or > 15)
            return false;
        if (_text[first] == '+' || (first + 1 < view.Length && _text[first + 1] == '+'))
            return true;
        if (IsDecimal())
            return false;
        var leadingZero = _digits[0] == 0;
        // A bare number: sizes, identifiers and amounts are mostly shorter than a national number, or round.
        if (count == 1)
            return total >= (leadingZero || view.IsRewritten ? 8 : 10) && !_digits.TakeLast(4).All(static digit => digit == 0);
        if (IsTable())
            return false;
        if (leadingZero && total >= 8)
            return true;
        var (largest, years) = (0, 0);
        for (var index = 0; index < count; index++)
        {
            largest = Math.Max(largest, _groups[index].Length);
            years += IsYear(index) ? 1 : 0;
        }

        if (years == count || (years > 0 && total - (4 * years) < 6 && largest <= 4) || IsRange())
            return false;
        if (_text[first] == '(')
            return true;
        if (total == 7)
            return count == 2 && _groups[0].Length == 3 && _text[_groups[0].End] is '-' or '.';
        if (largest >= 3)
            return total >= 9 || (total == 8 && _text[_groups[0].End] is '-' or '.' or '/');
        // Single digits and pairs: 4 0 7 8 9 7 7 5 4 7 is a number in disguise, 1 2 3 4 5 6 7 8 9 10 is counting.
        return total >= 9 && !IsProgression();
    }

    /// <summary>4000-6000 and the like.</summary>
    private bool IsRange() => _groups.Count == 2 && _groups[0].Length == _groups[1].Length && Value(0) % 100 == 0 && Value(1) % 100 == 0;

    private bool IsDecimal() => _groups.Count == 2 && _text[_groups[0].End] == '.' && _groups[1].Start == _groups[0].End + 1;

    /// <summary>Decimals in a row, a version of four parts, or what a bracket divides: 12.63 12.97 10.47; 6.18.44.470; 302.5 [252.3.</summary>
    private bool IsTable()
    {
        var (dots, spaces) = (0, 0);
        for (var index = 1; index < _groups.Count; index++)
        {
            var gap = _text.AsSpan(_groups[index - 1].End, _groups[index].Start - _groups[index - 1].End);
            if (gap.Contains('['))
                return true;
            dots += gap is "." ? 1 : 0;
            spaces += gap is " " or " | " ? 1 : 0;
        }

        var decimals = dots >= 2 && spaces == dots - 1 && dots + spaces == _groups.Count - 1 && _text[_groups[0].End] == '.';
        return decimals || (dots == 3 && _groups.Count == 4 && _groups[0].Length <= 2);
    }

    private bool IsProgression()
    {
        if (_groups.Count < 3)
            return false;
        var step = Value(1) - Value(0);
        for (var index = 2; index < _groups.Count; index++)
        {
            if (Value(index) - Value(index - 1) != step)
                return false;
        }

        return true;
    }

    private bool IsYear(int group) => _groups[group].Length == 4 && Value(group) is >= 1000 and <= 2100;

    private bool IsCompactDate()
    {
        var value = 0;
        foreach (var digit in _digits)
            value = (value * 10) + digit;
        return (value / 10000 is >= 1900 and <= 2100 && value / 100 % 100 is >= 1 and <= 12 && value % 100 is >= 1 and <= 31)
            || (value % 10000 is >= 1900 and <= 2100 && value / 10000 % 100 is >= 1 and <= 31 && value / 1000000 is >= 1 and <= 31);
    }

    private bool IsDate()
    {
        if (_groups.Count == 1 && _groups[0].Length == 8)
            return IsCompactDate();
        if (_groups.Count != 3)
            return false;
        var (a, b, c) = (Value(0), Value(1), Value(2));
        var (la, lb, lc) = (_groups[0].Length, _groups[1].Length, _groups[2].Length);
        if (lb > 2 || b is < 1 or > 31)
            return false;
        return (la == 4 && IsYear(0) && lc <= 2 && c is >= 1 and <= 31 && (b <= 12 || c <= 12))
            || (lc == 4 && IsYear(2) && la <= 2 && a is >= 1 and <= 31 && (a <= 12 || b <= 12))
            || (lc == 2 && la <= 2 && a is >= 1 and <= 31 && (a <= 12 || b <= 12) && _text[_groups[0].End] is '/' or '.' or '-');
    }

    /// <summary>Nobody born before 1900 has a date of birth to keep private.</summary>
    private bool IsRecent() => _groups.TrueForAll(group => group.Length != 4) || _groups.Exists(group => group.Length == 4 && _text[group.Start] is '2' or '1' && (_text[group.Start] == '2' || _text[group.Start + 1] == '9'));

    private bool IsWholeLine(int first, int end)
    {
        while (first > 0 && _text[first - 1] is ' ' or '\t' && first > 0)
            first--;
        while (end < view.Length && _text[end] is ' ' or '\t' or '\r')
            end++;
        return (first == 0 || _text[first - 1] == '\n') && (end == view.Length || _text[end] == '\n');
    }

    /// <summary>Judges what stands between spaces on its own when the whole makes no sense.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScanPieces()
    {
        if (_groups.Count < 2)
            return;
        var all = _groups.ToArray();
        var start = 0;
        for (var index = 1; index <= all.Length; index++)
        {
            var cut = index == all.Length || _text.AsSpan(all[index - 1].End, all[index].Start - all[index - 1].End).IndexOfAny(' ', '\n', '\t') >= 0;
            if (!cut)
                continue;
            if (index - start < all.Length)
                JudgePiece(all.AsSpan(start, index - start));
            start = index;
        }
    }

    private void JudgePiece(ReadOnlySpan<DigitGroup> piece)
    {
        _groups.Clear();
        _digits.Clear();
        foreach (var group in piece)
        {
            _groups.Add(group);
            for (var index = group.Start; index < group.End; index++)
                _digits.Add((byte)(_text[index] - '0'));
        }

        Judge(piece[0].Start);
    }

    private int Value(int group)
    {
        var value = 0;
        for (var index = _groups[group].Start; index < _groups[group].End && value < 100_000_000; index++)
            value = (value * 10) + (_text[index] - '0');
        return value;
    }
}
