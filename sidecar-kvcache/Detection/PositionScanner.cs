using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Pairs of decimal degrees, degrees with minutes, and dates that are written with the month's name.</summary>
internal sealed class PositionScanner(ScanView view, FindingSink sink, HintTrail hints)
{
    private readonly char[] _text = view.Text;

    /// <summary>Latitude and longitude from a digit on: 48.85837, 2.29448.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool TryScan(int position, out int end)
    {
        end = position;
        if (!TryDecimal(position, 90, out var first))
            return false;
        var start = position > 0 && _text[position - 1] is '-' or '+' ? position - 1 : position;
        var next = first;
        var joined = false;
        while (next < view.Length && next - first < 6 && _text[next] is ' ' or ',' or ';' or '/' or '°' or 'N' or 'S' or 'E' or 'W' or '|' or '\n')
            joined |= _text[next++] is ',' or ';' or '/' or '°' or 'N' or 'S';
        var sign = next < view.Length && _text[next] is '-' or '+' ? next + 1 : next;
        while (sign < view.Length && sign > next && sign - next < 3 && _text[sign] == ' ')
            sign++;
        if (sign < view.Length && char.IsAsciiDigit(_text[sign]) && TryDecimal(sign, 180, out var second) && ((joined && Math.Max(Decimals(first), Decimals(second)) >= (IsInterval(start) || IsInRow(start, second) ? 4 : 3)) || hints.Near(Hint.Position, start, 40)))
        {
            end = second;
            return sink.Add(view, SecretKind.GpsPosition, start, end);
        }

        if (Decimals(first) < 3 || !hints.Near(Hint.Position, start, 24))
            return false;
        end = first;
        return sink.Add(view, SecretKind.GpsPosition, start, end);
    }

    /// <summary>Degrees, minutes and seconds: 48° 51' N.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ScanDegree(int degree)
    {
        var start = degree;
        while (start > 0 && degree - start < 10 && (char.IsAsciiDigit(_text[start - 1]) || _text[start - 1] is '.' or '-' or ' '))
            start--;
        while (start < degree && _text[start] is ' ' or '.')
            start++;
        var next = degree + 1;
        while (next < view.Length && next - degree < 4 && _text[next] == ' ')
            next++;
        if (start == degree || next >= view.Length)
            return;
        var fraction = _text.AsSpan(start, degree - start).Contains('.');
        var directed = _text[next] is 'N' or 'S' or 'E' or 'W' && (next + 1 == view.Length || !char.IsLetter(_text[next + 1]));
        if (!char.IsAsciiDigit(_text[next]) && !(directed && fraction))
            return;
        var end = next;
        while (end < view.Length && end - degree < 24 && (char.IsAsciiDigit(_text[end]) || _text[end] is '.' or '\'' or '"' or ' ' or 'N' or 'S' or 'E' or 'W'))
            end++;
        if (directed || _text.AsSpan(next, end - next).ContainsAny('\'', '"'))
            sink.Add(view, SecretKind.GpsPosition, start, end);
    }

    /// <summary>A date around a month's name: March 14, 1985 or 14 March 1985.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ScanWrittenDate(int start, int end)
    {
        var dayBefore = start;
        while (dayBefore > 0 && start - dayBefore < 8 && !char.IsAsciiDigit(_text[dayBefore - 1]) && _text[dayBefore - 1] != '\n')
            dayBefore--;
        var first = dayBefore;
        while (first > 0 && dayBefore - first < 4 && char.IsAsciiDigit(_text[first - 1]))
            first--;
        var year = end;
        var numbers = 0;
        while (year < view.Length && year - end < 18 && _text[year] != '\n')
        {
            if (!char.IsAsciiDigit(_text[year]))
            {
                year++;
                continue;
            }

            var digits = year;
            while (digits < view.Length && digits - year < 5 && char.IsAsciiDigit(_text[digits]))
                digits++;
            if (digits - year == 4 && _text[year] is '1' or '2')
            {
                // Nobody born before 1900 has a date of birth to keep private.
                if (_text[year] == '1' && _text[year + 1] != '9')
                    return;
                var hasDayBefore = dayBefore - first is 1 or 2 && start - dayBefore < 8;
                if (!hasDayBefore && numbers == 0)
                    return;
                var from = hasDayBefore ? first : start;
                hints.SawDate(from, digits);
                if (hints.NearInSentence(Hint.Birth, from, 60))
                    sink.Add(view, SecretKind.DateOfBirth, from, digits);
                return;
            }

            if (digits - year > 2)
                return;
            // 5 May 84, right behind a word of birth.
            if (digits - year == 2 && numbers == 0 && dayBefore - first is 1 or 2 && (digits == view.Length || _text[digits] != ':') && hints.NearInSentence(Hint.Birth, first, 16))
            {
                sink.Add(view, SecretKind.DateOfBirth, first, digits);
                return;
            }

            numbers++;
            year = digits;
        }
    }

    /// <summary>The date that stands before a word of birth: 1985-03-14 (date of birth).</summary>
    public void ScanBirthAfterDate(int word)
    {
        var (start, end) = hints.LastDate;
        if (word - end is >= 0 and <= 24)
            sink.Add(view, SecretKind.DateOfBirth, start, end);
    }

    /// <summary>0.99x [0.985, 1.039]: what stands in brackets behind a number is its range.</summary>
    private bool IsInterval(int start) =>
        start > 2 && _text[start - 1] == '[' && _text[start - 2] == ' ' && (char.IsAsciiLetterOrDigit(_text[start - 3]) || _text[start - 3] == '%');

    /// <summary>vec3(0.299, 0.587, 0.114): more decimals before or behind.</summary>
    private bool IsInRow(int start, int end)
    {
        var next = end;
        while (next < view.Length && next - end < 3 && _text[next] is ',' or ' ')
            next++;
        if (next > end && next < view.Length && TryDecimal(next, int.MaxValue, out _))
            return true;
        while (start > 0 && _text[start - 1] == ' ')
            start--;
        return start > 1 && _text[start - 1] == ',' && char.IsAsciiDigit(_text[start - 2]);
    }

    private int Decimals(int end)
    {
        var start = end;
        while (start > 0 && char.IsAsciiDigit(_text[start - 1]))
            start--;
        return end - start;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryDecimal(int position, int limit, out int end)
    {
        end = position;
        var whole = 0;
        while (end < view.Length && end - position < 4 && char.IsAsciiDigit(_text[end]))
            whole = (whole * 10) + (_text[end++] - '0');
        if (end - position > 3 || whole > limit || end >= view.Length || _text[end] != '.')
            return false;
        var fraction = ++end;
        while (end < view.Length && end - fraction < 20 && char.IsAsciiDigit(_text[end]))
            end++;
        return end - fraction >= 1 && (end >= view.Length || !char.IsAsciiDigit(_text[end])) && !(end + 1 < view.Length && _text[end] == '.' && char.IsAsciiDigit(_text[end + 1]));
    }
}
