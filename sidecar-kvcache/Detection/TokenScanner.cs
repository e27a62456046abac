using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Values that are one word of letters and digits: keys, wallets, accounts, identity numbers, hardware addresses.</summary>
internal sealed partial class TokenScanner(ScanView view, FindingSink sink, HintTrail hints)
{
    private const int MaxToken = 4096;

    /// <summary>A shorter token without digits is a word.</summary>
    private const int LeastWithoutDigits = 20;

    /// <summary>A longer run is data.</summary>
    private const int MaxKey = 512;

    private static readonly Hint[] IdentityHints = [Hint.Plate, Hint.Passport, Hint.Licence, Hint.Medical, Hint.Nino, Hint.National];

    private readonly char[] _text = view.Text;
    private readonly char[] _compact = new char[40];
    private static readonly System.Buffers.SearchValues<char> HexDigits = System.Buffers.SearchValues.Create("0123456789abcdefABCDEF");

    private int _dataEnd;
    private bool _isData;

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
        if (token[0] == 's' && CodeNames.IsDigest(token))
        {
            // The digest goes on with signs of base64.
            end = EndOfBase64(end);
            return true;
        }

        // One letter with nothing but a letter's neighbours starts nothing.
        if (token.Length == 1 && (end >= view.Length || !(_text[end] is ' ' or '.' or ':' or '*' or '/' or '|' or '\n')))
            return false;
        // In a chain of groups only the first can start an address.
        if (!FollowsGroup(start) && TryNetwork(start, out var networkEnd))
        {
            end = networkEnd;
            return true;
        }

        // Both begin with two letters, perhaps set apart, and go on with a digit.
        var isWord = token.Length > 2 && char.IsAsciiLetter(token[1]) && char.IsAsciiLetter(DigitLetters.ToDigit(token[2]));
        if (!isWord && char.IsAsciiLetter(_text[start]) && GoesOn(start) && (TryIban(start, ref end) || TryNino(start, ref end)))
            return true;
        // SG., hvs., ya29.: short, and the key behind a full stop.
        if (token.Length is >= 2 and < 5 && end + 8 < view.Length && _text[end] == '.' && char.IsAsciiLetterOrDigit(_text[end + 1]))
            return TryKey(start, ref end);
        return token.Length >= 5 && (TryKey(start, ref end) || ((hasDigit || token.Length >= LeastWithoutDigits) && TryShape(start, end)));
    }

    /// <summary>Whether a colon and a group of an address stand before a position; the word of "MAC:00:1b:" is none.</summary>
    private bool FollowsGroup(int start)
    {
        if (start < 2 || _text[start - 1] != ':' || !char.IsAsciiHexDigit(_text[start - 2]))
            return false;
        var group = start - 2;
        while (group > 0 && start - group <= 5 && char.IsAsciiHexDigit(_text[group - 1]))
            group--;
        return start - group <= 5 && (group == 0 || !(char.IsAsciiLetterOrDigit(_text[group - 1]) || _text[group - 1] == '_'));
    }

    private int EndOfBase64(int position)
    {
        while (position < view.Length && (char.IsAsciiLetterOrDigit(_text[position]) || _text[position] is '+' or '/' or '=' or '-' or '_'))
            position++;
        return position;
    }

    /// <summary>IPv6 and hardware addresses.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool TryNetwork(int start, out int end)
    {
        end = start;
        if (!sink.Wants(SecretKind.NetworkAddress) || !(char.IsAsciiHexDigit(_text[start]) || _text[start] == ':'))
            return false;
        // A lone letter, as most that come here.
        if (start + 1 < view.Length && _text[start] != ':' && !char.IsAsciiHexDigit(_text[start + 1]) && !(_text[start + 1] is ':' or '-' or '.'))
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

        if (token.Length == 17 && token.StartsWith("pat") && end + 64 < view.Length && _text[end] == '.' && !_text.AsSpan(end + 1, 64).ContainsAnyExcept(HexDigits))
        {
            end += 65;
            return sink.Add(view, SecretKind.ApiKey, start, end);
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

            // npm_package_resolved: without a digit it needs capitals in the middle.
            if (length >= least && (digits > 0 || (token.Length >= least && Capitals(token) is >= 3 and var capitals && (token.Length - capitals >= 6 || capitals == token.Length))))
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

        if (IsData(start, end))
            return false;
        if (digits == 0)
            return upper >= 6 && lower >= 6 && changes >= 8 && dashes == 0 && token.Length >= LeastWithoutDigits && sink.Add(view, SecretKind.ApiKey, start, end);
        if (letters == 0)
            return !ReferenceEquals(view.Written, _text) && NationalNumbers.IsOne(view.Written.AsSpan(start, token.Length)) && sink.Add(view, SecretKind.NationalId, start, end);

        var plain = token.Length - dashes;
        if (token.Length == 42 && token[0] == '0' && (token[1] | 0x20) == 'x' && hex >= 41)
            return sink.Add(view, SecretKind.CryptoWallet, start, end);
        if ((token.StartsWith("bc1") || token.StartsWith("tb1") || token.StartsWith("ltc1") || token.StartsWith("addr1")) && token.Length >= 14 && upper == 0)
            return sink.Add(view, SecretKind.CryptoWallet, start, end);
        if (token.Length is (>= 25 and <= 36) or 43 or 44 or 95 && base58 == token.Length && upper > 1 && lower > 1 && hex < token.Length && (char.IsAsciiDigit(token[0]) || !CodeNames.IsIdentifier(token, digits, dashes, upper)))
            return sink.Add(view, SecretKind.CryptoWallet, start, end);
        // A hardware address without its colons.
        if (token.Length == 12 && hex == 12 && digits >= 2 && hints.Near(Hint.Network, start, 12))
            return sink.Add(view, SecretKind.NetworkAddress, start, end);
        if (IsIdentity(start, token, digits, letters, upper, dashes, out var kind))
            return sink.Add(view, kind, start, end);
        // Digests and identifiers look like that too: without a word for a key they say nothing.
        if (plain >= 32 && hex == plain && (plain is 32 or 40 or 56 or 64 or 96 or 128) && !Announced(Hint.Key, start) && !Announced(Hint.Secret, start) && !Announced(Hint.WeakSecret, start))
            return false;
        if (CodeNames.IsIdentifier(token, digits, dashes, upper))
            return false;
        if (token.Length >= 32 && hex == token.Length && digits >= 6)
            return sink.Add(view, SecretKind.ApiKey, start, end);
        if (plain >= 20 && digits >= 3 && letters >= 6 && changes - dashes >= token.Length / 6)
            return sink.Add(view, SecretKind.ApiKey, start, end);
        var number = token[0] == '0' && (token[1] | 0x20) == 'x' && hex >= token.Length - 1;
        return token.Length is >= 8 and <= 64 && plain >= 8 && letters >= 4 && upper > 0 && lower > 0 && changes >= 4 && dashes <= 2 && !number && sink.Add(view, SecretKind.Password, start, end);
    }

    /// <summary>Whether such a word stands before a position, on the same line.</summary>
    private bool Announced(Hint hint, int start) => hints.Near(hint, start, 48) && hints.End(hint) <= start && !_text.AsSpan(hints.End(hint), start - hints.End(hint)).Contains('\n');

    /// <summary>Inside a long run of base64: data, as of an image or a module.</summary>
    private bool IsData(int start, int end)
    {
        if (!(start > 0 && _text[start - 1] is '+' or '/') && !(end < view.Length && _text[end] is '+' or '/'))
            return end - start > MaxKey;
        if (start >= _dataEnd)
        {
            // Each run is walked through once, whatever tokens it is cut into.
            var from = start;
            while (from > _dataEnd && IsBase64(_text[from - 1]))
                from--;
            for (_dataEnd = end; _dataEnd < view.Length && IsBase64(_text[_dataEnd]);)
                _dataEnd++;
            // Digests of 20, 32 and 64 bytes end with the filling.
            var length = _dataEnd - from;
            _isData = length > MaxKey || (length is 27 or 43 or 86 && _dataEnd < view.Length && _text[_dataEnd] == '=' && !Announced(Hint.Key, from) && !Announced(Hint.Secret, from) && !Announced(Hint.WeakSecret, from));
        }

        return _isData;
    }

    private static bool IsBase64(char character) => char.IsAsciiLetterOrDigit(character) || character is '+' or '/';

    private bool IsIdentity(int start, ReadOnlySpan<char> token, int digits, int letters, int upper, int dashes, out SecretKind kind)
    {
        kind = SecretKind.Passport;
        if (token[0] == '0' && token[1] is 'x' or 'X')
            return false;
        foreach (var hint in IdentityHints)
        {
            // sha256, utf8: a word with few digits in it.
            if (digits < 3 || token.Length > 24 || !hints.Near(hint, start, 32) || (hint != Hint.Plate && letters > 2 * digits) || (hint is Hint.Medical or Hint.Licence && digits < 4))
                continue;
            kind = Vocabulary.KindOf(hint);
            return true;
        }

        // Passports of many countries and some driving licences: one or two capitals and seven to nine digits.
        if (dashes == 0 && letters <= 2 && upper == letters && digits is >= 7 and <= 9 && char.IsAsciiLetterUpper(token[0]) && char.IsAsciiDigit(token[^1]) && (letters == 1 || char.IsAsciiLetterUpper(token[1])))
            return true;
        // A British driving licence: five letters of the name, the coded birth date, initials, check characters.
        if (dashes == 0 && token.Length is 16 or 18 && upper >= 5 && char.IsAsciiLetterUpper(token[0]) && digits is >= 6 and <= 13 && AllDigits(token.Slice(5, 6)))
        {
            kind = SecretKind.DrivingLicence;
            return true;
        }

        if (NationalNumbers.IsOne(view.Written.AsSpan(start, token.Length)))
        {
            kind = SecretKind.NationalId;
            return true;
        }

        return false;
    }

    private static int Capitals(ReadOnlySpan<char> token)
    {
        var count = 0;
        foreach (var character in token)
            count += char.IsAsciiLetterUpper(character) ? 1 : 0;
        return count;
    }

    private static bool AllDigits(ReadOnlySpan<char> text) => !text.ContainsAnyExceptInRange('0', '9');
}
