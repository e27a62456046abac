using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Values that are one word of letters and digits: keys, wallets, accounts, identity numbers, hardware addresses.</summary>
internal sealed class TokenScanner(ScanView view, FindingSink sink, HintTrail hints)
{
    private const int MaxToken = 4096;

    /// <summary>A shorter token without digits is a word.</summary>
    private const int LeastWithoutDigits = 20;

    private static readonly Hint[] IdentityHints = [Hint.Passport, Hint.Licence, Hint.Medical, Hint.Nino];

    private readonly char[] _text = view.Text;
    private readonly char[] _compact = new char[40];

    /// <summary>Judges the token that starts here. True: it is a finding that ends at <paramref name="end"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool TryScan(int start, out int end)
    {
        end = start + 1;
        var hasDigit = char.IsAsciiDigit(_text[start]);
        for (; end < view.Length && end - start < MaxToken; end++)
        {
            var character = _text[end];
            if (char.IsAsciiDigit(character))
                hasDigit = true;
            else if (!(char.IsAsciiLetter(character) || character is '_' or '-'))
                break;
        }

        var token = _text.AsSpan(start, end - start);
        // One letter with nothing but a letter's neighbours starts nothing.
        if (token.Length == 1 && (end >= view.Length || !(_text[end] is ' ' or '.' or ':' or '*' or '/' or '|' or '\n')))
            return false;
        // In a chain of groups only the first can start an address.
        var chained = start > 1 && _text[start - 1] == ':' && char.IsAsciiHexDigit(_text[start - 2]);
        if (!chained && TryNetwork(start, out var networkEnd))
        {
            end = networkEnd;
            return true;
        }

        // Both begin with two letters, perhaps set apart, and go on with a digit.
        var isWord = token.Length > 2 && char.IsAsciiLetter(token[1]) && char.IsAsciiLetter(token[2]);
        if (!isWord && char.IsAsciiLetter(_text[start]) && (TryIban(start, ref end) || TryNino(start, ref end)))
            return true;
        return token.Length >= 5 && (TryKey(start, ref end) || ((hasDigit || token.Length >= LeastWithoutDigits) && TryShape(start, end)));
    }

    /// <summary>IPv6 and hardware addresses.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool TryNetwork(int start, out int end)
    {
        end = start;
        if (!sink.Wants(SecretKind.NetworkAddress) || !(char.IsAsciiHexDigit(_text[start]) || _text[start] == ':'))
            return false;
        var (groups, pairs, colons, digits, gap) = (0, 0, 0, 0, false);
        var separator = '\0';
        var position = start;
        while (position < view.Length && position - start < 48)
        {
            var group = position;
            while (position < view.Length && position - group < 5 && char.IsAsciiHexDigit(_text[position]))
            {
                digits += char.IsAsciiDigit(_text[position]) ? 1 : 0;
                position++;
            }

            var length = position - group;
            if (length > 4 || groups > 8)
                return false;
            if (length > 0)
            {
                groups++;
                pairs += length == 2 ? 1 : 0;
                end = position;
            }

            if (position >= view.Length || !(_text[position] is ':' or '-' || (_text[position] == '.' && separator is '\0' or '.')))
                break;
            if (separator == '\0')
                separator = _text[position];
            else if (separator != _text[position])
                break;
            position++;
            colons++;
            if (position < view.Length && _text[position] == ':' && separator == ':')
            {
                if (gap)
                    break;
                gap = true;
                position++;
            }
            else if (length == 0)
            {
                break;
            }
        }

        if (end < view.Length && (char.IsAsciiLetterOrDigit(_text[end]) || _text[end] == '_'))
            return false;
        var mac = (groups == 6 && pairs == 6 && separator is ':' or '-') || (groups == 3 && separator == '.' && end - start == 14 && digits > 0);
        var ipv6 = separator == ':' && ((groups == 8 && !gap) || (gap && groups is >= 1 and <= 7 && (digits > 0 || groups >= 3)));
        return (mac || ipv6) && sink.Add(view, SecretKind.NetworkAddress, start, end);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryIban(int start, ref int end)
    {
        var position = start + 1;
        SkipSeparators(ref position);
        if (position >= view.Length || !char.IsAsciiLetter(_text[position]))
            return false;
        var length = Checks.IbanLength(_text[start], _text[position]);
        if (length == 0)
            return false;
        var digitsOnly = Checks.HasDigitsOnly(_text[start], _text[position]);
        (_compact[0], _compact[1]) = (_text[start], _text[position++]);
        var (filled, digits, last, exact) = (2, 0, position, 0);
        while (filled < length)
        {
            if (position < view.Length && !char.IsAsciiLetterOrDigit(_text[position]))
                SkipSeparators(ref position);
            if (position >= view.Length || !char.IsAsciiLetterOrDigit(_text[position]) || ((filled < 4 || digitsOnly) && !char.IsAsciiDigit(_text[position])))
                break;
            digits += char.IsAsciiDigit(_text[position]) ? 1 : 0;
            _compact[filled++] = _text[position++];
            if (position < view.Length && char.IsAsciiLetter(_text[position]) && char.IsAsciiLetter(_text[position - 1]) && char.IsAsciiLetterLower(_text[position]))
                break;
            last = position;
            if (filled == length && Checks.IsIban(_compact.AsSpan(0, length)))
                exact = position;
        }

        // Valid, or written as one: capitals of a country, then at least ten digits in one word or in groups of four.
        var printed = exact == 0 && digits >= 10 && digits * 2 > filled && filled >= 15 && last > start + 1 && char.IsAsciiLetterUpper(_text[start]) && char.IsAsciiLetterUpper(_text[start + 1])
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryKey(int start, ref int end)
    {
        var token = _text.AsSpan(start, end - start);
        // Header and payload of a JSON web token are base64 of an object: both start with {".
        if (token.StartsWith("eyJ") && token.Length >= 10)
        {
            var position = end;
            while (position < view.Length && position - start < MaxToken && (char.IsAsciiLetterOrDigit(_text[position]) || _text[position] is '_' or '-' or '.' or '=' or '+' or '/'))
                position++;
            end = position;
            return sink.Add(view, SecretKind.Jwt, start, end);
        }

        var least = KeyPrefixes.Find(token);
        if (least > 0)
        {
            // The rest may stand in pieces: count letters and digits across single spaces and dots.
            var (position, length, digits) = (start, 0, 0);
            while (position < view.Length && length < 48 && position - start < 80)
            {
                var character = _text[position];
                if (char.IsAsciiLetterOrDigit(character) || character is '_' or '-')
                {
                    length++;
                    digits += char.IsAsciiDigit(character) ? 1 : 0;
                }
                else if (!(character is ' ' or '.') || position + 1 >= view.Length || !char.IsAsciiLetterOrDigit(_text[position + 1]) || length >= least)
                {
                    break;
                }

                position++;
            }

            if (length >= least && (digits > 0 || token.Length >= least))
            {
                end = Math.Max(end, position);
                return sink.Add(view, SecretKind.ApiKey, start, end);
            }
        }

        return false;
    }

    /// <summary>What letters and digits look like when a machine chose them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryShape(int start, int end)
    {
        var token = _text.AsSpan(start, end - start);
        var (digits, upper, lower, hex, base58, changes, letters, dashes) = (0, 0, 0, 0, 0, 0, 0, 0);
        var previous = 0;
        foreach (var character in token)
        {
            var type = char.IsAsciiDigit(character) ? 1 : char.IsAsciiLetterUpper(character) ? 2 : char.IsAsciiLetterLower(character) ? 3 : 4;
            switch (type)
            {
                case 1: digits++; break;
                case 2: upper++; letters++; break;
                case 3: lower++; letters++; break;
                default: dashes++; break;
            }

            hex += char.IsAsciiHexDigit(character) ? 1 : 0;
            base58 += type < 4 && character is not ('0' or 'O' or 'I' or 'l') ? 1 : 0;
            changes += previous != 0 && previous != type && !(previous == 2 && type == 3) ? 1 : 0;
            previous = type;
        }

        if (digits == 0)
            return upper >= 6 && lower >= 6 && changes >= 8 && dashes == 0 && token.Length >= LeastWithoutDigits && sink.Add(view, SecretKind.ApiKey, start, end);
        if (letters == 0)
            return false;

        var plain = token.Length - dashes;
        if (token.Length == 42 && token[0] == '0' && (token[1] | 0x20) == 'x' && hex >= 41)
            return sink.Add(view, SecretKind.CryptoWallet, start, end);
        if ((token.StartsWith("bc1") || token.StartsWith("tb1") || token.StartsWith("ltc1") || token.StartsWith("addr1")) && token.Length >= 14 && upper == 0)
            return sink.Add(view, SecretKind.CryptoWallet, start, end);
        if (token.Length is (>= 25 and <= 36) or 43 or 44 or 95 && base58 == token.Length && upper > 1 && lower > 1 && hex < token.Length)
            return sink.Add(view, SecretKind.CryptoWallet, start, end);
        if (IsIdentity(start, token, digits, letters, upper, dashes, out var kind))
            return sink.Add(view, kind, start, end);
        // Digests and identifiers look like that too: without a word for a key they say nothing.
        if (plain >= 32 && hex == plain && (plain is 32 or 40 or 56 or 64 or 96 or 128) && !hints.Near(Hint.Key, start, 48) && !hints.Near(Hint.Secret, start, 48) && !hints.Near(Hint.WeakSecret, start, 48))
            return false;
        if (token.Length >= 32 && hex == token.Length && digits >= 6)
            return sink.Add(view, SecretKind.ApiKey, start, end);
        if (plain >= 20 && digits >= 3 && letters >= 6 && changes - dashes >= token.Length / 6)
            return sink.Add(view, SecretKind.ApiKey, start, end);
        return token.Length is >= 8 and <= 64 && upper > 0 && lower > 0 && changes >= 4 && dashes <= 2 && !IsIdentifier(token, digits) && sink.Add(view, SecretKind.Password, start, end);
    }

    private bool IsIdentity(int start, ReadOnlySpan<char> token, int digits, int letters, int upper, int dashes, out SecretKind kind)
    {
        kind = SecretKind.Passport;
        // Passports of many countries and some driving licences: one or two capitals and seven to nine digits.
        if (dashes == 0 && letters <= 2 && upper == letters && digits is >= 7 and <= 9 && char.IsAsciiLetterUpper(token[0]) && char.IsAsciiDigit(token[^1]) && (letters == 1 || char.IsAsciiLetterUpper(token[1])))
            return true;
        // A British driving licence: five letters of the name, the coded birth date, initials, check characters.
        if (dashes == 0 && token.Length is 16 or 18 && upper >= 5 && char.IsAsciiLetterUpper(token[0]) && digits is >= 6 and <= 13 && AllDigits(token.Slice(5, 6)))
        {
            kind = SecretKind.DrivingLicence;
            return true;
        }

        if (digits < 3 || token.Length is < 5 or > 24)
            return false;
        foreach (var hint in IdentityHints)
        {
            if (!hints.Near(hint, start, 32))
                continue;
            kind = Vocabulary.KindOf(hint);
            return true;
        }

        return false;
    }

    /// <summary>V1PodDisruptionBudget: mostly whole words, with at most two digits.</summary>
    private static bool IsIdentifier(ReadOnlySpan<char> token, int digits)
    {
        var (run, inWords) = (0, 0);
        foreach (var character in token)
        {
            run = char.IsAsciiLetterLower(character) ? run + 1 : 0;
            inWords += run == 2 ? 3 : run > 2 ? 1 : 0;
        }

        return digits <= 2 && inWords * 10 >= token.Length * 7;
    }

    private static bool AllDigits(ReadOnlySpan<char> text) => !text.ContainsAnyExceptInRange('0', '9');

    private void SkipSeparators(ref int position)
    {
        var start = position;
        while (position < view.Length && position - start < 3 && _text[position] is ' ' or '-' or '.' or '_' or '*' or '/' or '|' or '\n')
            position++;
    }
}
