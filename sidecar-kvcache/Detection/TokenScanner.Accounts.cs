using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

// Bank accounts and national insurance numbers, which may be written in groups.
internal sealed partial class TokenScanner
{
    private bool TryIban(int start, ref int end) =>
        TryIban(_text, start, ref end) || (!ReferenceEquals(view.Written, _text) && TryIban(view.Written, start, ref end));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryIban(char[] text, int start, ref int end)
    {
        var position = start + 1;
        SkipSeparators(ref position);
        if (position >= view.Length || !char.IsAsciiLetter(text[position]))
            return false;
        var length = Checks.IbanLength(text[start], text[position]);
        if (length == 0)
            return false;
        var digitsOnly = Checks.HasDigitsOnly(text[start], text[position]);
        (_compact[0], _compact[1]) = (text[start], text[position++]);
        var capitals = char.IsAsciiLetterUpper(_compact[1]);
        var (filled, digits, last, exact) = (2, 0, position, 0);
        while (filled < length)
        {
            if (position < view.Length && !char.IsAsciiLetterOrDigit(text[position]))
                SkipSeparators(ref position);
            if (position >= view.Length || !char.IsAsciiLetterOrDigit(text[position]))
                break;
            // Where only digits may stand, a letter that looks like one is one, if the check digits agree.
            var numeric = filled < 4 || digitsOnly;
            var character = numeric ? DigitLetters.ToDigit(text[position]) : text[position];
            if (numeric && !char.IsAsciiDigit(character))
                break;
            digits += char.IsAsciiDigit(text[position++]) ? 1 : 0;
            _compact[filled++] = character;
            if (capitals && position < view.Length && char.IsAsciiLetter(text[position - 1]) && char.IsAsciiLetterLower(text[position]))
                break;
            last = position;
            if (filled == length && Checks.IsIban(_compact.AsSpan(0, length)))
                exact = position;
        }

        // Valid, or written as one: capitals of a country, then at least ten digits in one word or in groups of four.
        var printed = exact == 0 && digits >= 10 && digits * 2 > filled && filled >= 15 && last > start + 1 && char.IsAsciiLetterUpper(text[start]) && char.IsAsciiLetterUpper(text[start + 1])
            && last - start <= filled + (filled / 4) + 1;
        if (exact == 0 && !printed)
            return false;
        end = exact > 0 ? exact : last;
        return sink.Add(view, SecretKind.Iban, start, end);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryNino(int start, ref int end)
    {
        var position = start;
        for (var filled = 0; filled < 9; filled++)
        {
            if (filled > 0)
                SkipSeparators(ref position);
            if (position >= view.Length)
                return false;
            var character = char.ToUpperInvariant(_text[position++]);
            var fits = filled switch
            {
                0 => char.IsAsciiLetter(character) && character is not ('D' or 'F' or 'I' or 'Q' or 'U' or 'V'),
                1 => char.IsAsciiLetter(character) && character is not ('D' or 'F' or 'I' or 'O' or 'Q' or 'U' or 'V'),
                8 => character is >= 'A' and <= 'D',
                _ => char.IsAsciiDigit(character),
            };
            if (!fits)
                return false;
        }

        if (position < view.Length && char.IsAsciiLetterOrDigit(_text[position]))
            return false;
        end = position;
        return sink.Add(view, SecretKind.UkNino, start, end);
    }

    /// <summary>Whether another letter and a digit follow the first letter, perhaps set apart, as in both kinds of number.</summary>
    private bool GoesOn(int start)
    {
        var position = start + 1;
        SkipSeparators(ref position);
        if (position >= view.Length || !(char.IsAsciiLetter(_text[position]) || char.IsAsciiLetter(view.Written[position])))
            return false;
        position++;
        SkipSeparators(ref position);
        return position < view.Length && char.IsAsciiDigit(DigitLetters.ToDigit(_text[position]));
    }

    private void SkipSeparators(ref int position)
    {
        var start = position;
        while (position < view.Length && position - start < 4 && _text[position] is ' ' or '-' or '.' or '_' or '*' or '/' or '|' or '\n' or '\r' or '\t')
            position++;
    }
}
