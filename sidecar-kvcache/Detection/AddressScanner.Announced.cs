using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

// Addresses that a word announces, and post boxes.
internal sealed partial class AddressScanner
{
    /// <summary>P.O. Box 832, Postfach 12.</summary>
    private void ScanPostBox(int start, int end)
    {
        var from = start;
        if (end - start == 3)
        {
            var before = _text.AsSpan(Math.Max(0, start - 6), Math.Min(6, start));
            var length = before.EndsWith("PO ") ? 3 : before.EndsWith("P.O. ") ? 5 : before.EndsWith("P. O. ") ? 6 : before.EndsWith("P.O.") || before.EndsWith("P O ") ? 4 : 0;
            if (length == 0)
                return;
            from = start - length;
        }

        var digits = end;
        while (digits < view.Length && digits - end < 3 && _text[digits] is ' ' or '#' or ':')
            digits++;
        if (digits == end || digits >= view.Length || !char.IsAsciiDigit(_text[digits]))
            return;
        while (digits < view.Length && digits - end < 16 && char.IsAsciiDigit(_text[digits]))
            digits++;
        sink.Add(view, SecretKind.StreetAddress, from, digits);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool AfterAnnouncement(int start, int end)
    {
        if (start - _announced is < 0 or > 60 || (start > 0 && _text[start - 1] == ':') || (_announcedByPlace && !PlaceGoesOn(start, end)) || (end < view.Length && _text[end] is ':' or '%'))
            return false;
        // A name stands before the number or behind it: "address=5005,server" has none.
        var letter = end < view.Length && char.IsAsciiLetter(_text[end]) && !(end + 1 < view.Length && char.IsLetter(_text[end + 1])) ? end + 1 : end;
        var behind = letter;
        while (behind < view.Length && behind - letter < 2 && _text[behind] is ' ' or ',')
            behind++;
        var named = (behind > letter && behind < view.Length && char.IsLetter(_text[behind]) && _text[letter] == ' ') || (behind < view.Length && char.IsUpper(_text[behind]) && behind > letter);
        var between = _text.AsSpan(Math.Max(0, _announced), start - Math.Max(0, _announced));
        if (!named && (between.Contains('\n') || !IsNameBetween(_announced, start)))
        {
            // What was announced is no street.
            _announced = int.MinValue / 2;
            return false;
        }

        while (end < view.Length && end - start < MaxAhead && _text[end] is not ('\n' or '.' or ';'))
            end++;
        return sink.Add(view, SecretKind.StreetAddress, start, end);
    }

    /// <summary>Lives at Paška 757, lives at 12 Baker: no sentence ends in between, and a name is beside the number.</summary>
    private bool PlaceGoesOn(int start, int end) =>
        !_text.AsSpan(_announced, start - _announced).ContainsAny(".!?;\n") && (IsNameBetween(_announced + 4, start) || NameFollows(end, out _));

    private bool IsNameBetween(int from, int to)
    {
        var capital = false;
        for (var index = Math.Max(0, from); index < to; index++)
        {
            if (_text[index] is '.' or '!' or '?' or ';')
                return false;
            capital |= char.IsUpper(_text[index]) || _text[index] >= 0x2E80;
        }

        return capital;
    }

    private bool IsAnnouncement(int end)
    {
        var position = end;
        while (position < view.Length && position - end < 2 && _text[position] is ' ' or '"')
            position++;
        if (position >= view.Length)
            return false;
        if (_text[position] is ':' or '=' or '-' or ',' or '\n' || char.IsAsciiDigit(_text[position]))
            return true;
        foreach (var verb in (ReadOnlySpan<string>)["is ", "ist ", "lautet ", "est ", "es ", "é ", "è ", "jest ", "är "])
        {
            if (_text.AsSpan(position, view.Length - position).StartsWith(verb))
                return true;
        }

        return false;
    }

    private bool FollowedByPlace(int end)
    {
        var rest = _text.AsSpan(end, Math.Min(8, view.Length - end));
        foreach (var place in (ReadOnlySpan<string>)[" at ", " an der ", " in der ", " op ", " na ", " in via ", " på "])
        {
            if (rest.StartsWith(place))
                return true;
        }

        return false;
    }

    /// <summary>千代田区丸の内1-9-1: where a place begins that ends here; -1: none. It names two units, or one before three numbers.</summary>
    private int JapanesePlace(int end)
    {
        var numbers = Numbers(end);
        if (numbers < 2)
            return -1;
        var (start, units) = (end, 0);
        while (start > 0 && end - start < 20 && _text[start - 1] >= Letters.FirstIdeograph && Letters.IsLetter(_text[start - 1]))
            units += _text[--start] is '都' or '道' or '府' or '県' or '市' or '区' or '町' or '村' or '郡' ? 1 : 0;
        return end - start >= 4 && (units >= 2 || (units == 1 && numbers >= 3)) ? start : -1;
    }

    /// <summary>How many numbers with a dash between them stand here: 1-9-1.</summary>
    private int Numbers(int position)
    {
        var numbers = 0;
        for (var stop = Math.Min(view.Length, position + 16); position < stop && char.IsAsciiDigit(_text[position]); numbers++)
        {
            while (position < stop && char.IsAsciiDigit(_text[position]))
                position++;
            if (position < stop && _text[position] == '-')
                position++;
        }

        return numbers;
    }
}
