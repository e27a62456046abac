using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Values that a word announces: password assignments, authorization headers, passwords inside URLs.</summary>
internal sealed partial class AssignmentScanner(ScanView view, FindingSink sink)
{
    private const int MaxGap = 32;
    private const int MaxValue = 256;

    private static readonly WordTable Verbs = WordTable.Of(
    [
        "is", "was", "ist", "lautet", "est", "es", "é", "è", "jest", "to", "är", "er", "on", "это", "としては", "は", "是", "为", "為", "olan", "je", "equals", "set",
    ]);

    private readonly char[] _text = view.Text;

    /// <summary>Looks for the value behind a word that names a secret.</summary>
    /// <param name="hint">How much the word says by itself: password much, secret little; after key or token the value must look it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Scan(int start, int end, Hint hint)
    {
        var secret = (hint & Hint.Key) == 0;
        // Mot de passe, palavra-passe.
        var weak = (hint & Hint.Secret) == 0 && !(_text.AsSpan(0, start).EndsWith("mot de ") || _text.AsSpan(0, start).EndsWith("palavra-"));
        if (secret && !weak && TryForm(start, end))
            return;
        var limit = Math.Min(view.Length, end + MaxGap);
        var position = end;
        var (assigned, spoken, words) = (false, false, 0);
        // "password": "x" but not type="password" name="x".
        var quoted = start > 0 && end < view.Length && _text[start - 1] is '"' or '\'' && _text[end] == _text[start - 1];
        while (position < limit)
        {
            var character = _text[position];
            if (character is ':' or '=' or '>')
            {
                // A comparison assigns nothing.
                if (character == '=' && ((position + 1 < limit && _text[position + 1] == '=') || _text[position - 1] is '!' or '<'))
                    return;
                assigned = true;
                position++;
            }
            else if (character is ' ' or '"' or '\'' or '`' or '\t' or ')' or '(' or '[' or ']' or '-' or '_' or '*' or '#' or '\\')
            {
                // A value in quotes right behind the word: password "abc".
                spoken |= position > end && character is '"' or '`';
                position++;
            }
            else if (assigned && !secret && SchemeEnd(position) is var scheme and > 0)
            {
                position = scheme;
            }
            else if (assigned)
            {
                break;
            }
            else if (char.IsLetter(character))
            {
                if (quoted)
                    return;
                if (weak && secret && position - end > 2)
                    break;
                var word = position;
                while (word < limit && char.IsLetter(_text[word]))
                    word++;
                var isVerb = word - position <= 8 && Verbs.Contains(_text.AsSpan(position, word - position));
                if (spoken || (!isVerb && (word == limit || !(_text[word] is ' ' or ':' or '=' or '_' or '-'))))
                    break;
                if (!isVerb && ((_text[word] != ' ' && IsPassphrase(position)) || ++words > 2 || (word - position >= 8 && LooksSecret(position, out _))))
                    break;
                spoken |= isVerb;
                position = word;
            }
            else
            {
                break;
            }
        }

        if (position >= view.Length || _text[position] is ',' or ';' || (!assigned && (_text[position] is '.' or '!' or '?' || _text[position] >= 0x2E80)))
            return;
        if (secret && words == 0 && (!weak || _text.AsSpan(start, end - start).Equals("pass", StringComparison.OrdinalIgnoreCase)) && PhraseEnd(position) is var phraseEnd and > 0)
        {
            sink.Add(view, SecretKind.Password, start, phraseEnd);
            return;
        }

        var valueEnd = Value(position);
        var length = valueEnd - position;
        if (length < 3 || Placeholders.IsOne(_text.AsSpan(position, length)))
            return;
        var looks = LooksSecret(position, out var digits);
        var announced = assigned || spoken;
        var found = (secret, weak) switch
        {
            (true, false) => (assigned && words == 0) || (looks && (announced || words == 0)),
            (true, true) => IsCode(start, end, position, valueEnd) || (looks && ((announced && (digits > 0 || (assigned && LooksChosen(position, valueEnd)))) || IsLogin(start, end, position, digits, length))),
            _ => announced && looks && length >= 8 && (digits > 0 || (assigned && LooksChosen(position, valueEnd))),
        };
        if (found)
            sink.Add(view, secret ? SecretKind.Password : SecretKind.ApiKey, start, valueEnd);
    }

    /// <summary>user root pass x9Yk2 on db1.</summary>
    private bool IsLogin(int start, int end, int position, int digits, int length) =>
        digits > 0 && digits < length && length >= 6 && position - end <= 2
        && _text.AsSpan(Math.Max(0, start - 24), Math.Min(24, start)) is var before && (before.IndexOf("user") >= 0 || before.IndexOf("login") >= 0 || before.IndexOf("root") >= 0);

    /// <summary>A licence plate behind a word that announces it: letters and digits in up to three groups.</summary>
    public void ScanPlate(int end)
    {
        var position = end;
        while (position < view.Length && position - end < 24 && !(char.IsAsciiLetterUpper(_text[position]) || char.IsAsciiDigit(_text[position])))
        {
            if (!(char.IsLetter(_text[position]) || _text[position] is ' ' or ':' or '=' or '#' or '"' or '.'))
                return;
            position++;
        }

        var (stop, letters, digits) = (position, 0, 0);
        while (stop < view.Length && stop - position < 11 && (char.IsAsciiLetterUpper(_text[stop]) || char.IsAsciiDigit(_text[stop]) || (_text[stop] is ' ' or '-' or '·' && stop + 1 < view.Length && char.IsAsciiLetterOrDigit(_text[stop + 1]) && !char.IsAsciiLetterLower(_text[stop + 1]))))
        {
            letters += char.IsAsciiLetterUpper(_text[stop]) ? 1 : 0;
            digits += char.IsAsciiDigit(_text[stop]) ? 1 : 0;
            stop++;
        }

        if (position > end && letters >= 1 && digits >= 1 && letters + digits is >= 4 and <= 9)
            sink.Add(view, SecretKind.LicencePlate, position, stop);
    }

    private static readonly WordTable Schemes = WordTable.Of(["ApiKey", "Token", "Digest", "Key"]);

    /// <summary>Behind the scheme of an authorization header that starts here; 0: there is none.</summary>
    private int SchemeEnd(int position)
    {
        var end = position;
        while (end < view.Length && end - position < 8 && char.IsAsciiLetter(_text[end]))
            end++;
        return end > position && end < view.Length && _text[end] == ' ' && Schemes.Contains(_text.AsSpan(position, end - position)) ? end : 0;
    }

    /// <summary>Bearer and basic credentials.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ScanHeader(int start, int end)
    {
        var position = end;
        while (position < view.Length && position - end < 4 && _text[position] is ' ' or ':')
            position++;
        if (position == end || position >= view.Length)
            return;
        var valueEnd = position;
        while (valueEnd < view.Length && valueEnd - position < 4096 && (char.IsAsciiLetterOrDigit(_text[valueEnd]) || _text[valueEnd] is '.' or '_' or '~' or '+' or '/' or '=' or '-'))
            valueEnd++;
        if (valueEnd - position >= 8 && ((LooksSecret(position, out var digits) && digits > 0) || valueEnd - position >= 24 || LooksChosen(position, valueEnd)))
            sink.Add(view, SecretKind.AuthorizationHeader, start, valueEnd);
    }

    // Whoever has the address may post to it.
    private static readonly string[] Hooks = ["hooks.slack.com/services/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/", "api.telegram.org/bot"];

    /// <summary>A user and a password before the host of a URL, or a key in its path.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ScanUrl(int colon)
    {
        var position = colon + 3;
        if (position < view.Length && _text[position] is 'h' or 'd' or 'a')
        {
            foreach (var hook in Hooks)
            {
                if (_text.AsSpan(position, view.Length - position).StartsWith(hook) && Value(position) is var hookEnd && hookEnd - position - hook.Length >= 16)
                    sink.Add(view, SecretKind.ApiKey, position, hookEnd);
            }
        }

        var limit = Math.Min(view.Length, position + MaxValue);
        var (separator, at) = (-1, -1);
        for (; position < limit && _text[position] is not (' ' or '/' or '\n' or '"' or '\'' or '<' or '>'); position++)
        {
            if (_text[position] == ':' && separator < 0)
                separator = position;
            else if (_text[position] == '@')
                at = position;
        }

        if (separator < 0 || at <= separator + 1)
            return;
        var start = colon;
        while (start > 0 && colon - start < 24 && (char.IsAsciiLetterOrDigit(_text[start - 1]) || _text[start - 1] is '+' or '-' or '.'))
            start--;
        sink.Add(view, SecretKind.ConnectionString, start, position);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Value(int position)
    {
        var end = position;
        var ideographic = position < view.Length && _text[position] >= 0x2E80;
        while (end < view.Length && end - position < MaxValue && (ideographic || _text[end] < 0x2E80) && _text[end] is not (' ' or '\n' or '\r' or '\t' or '"' or '`' or '<' or '>'))
            end++;
        while (end > position && _text[end - 1] is '.' or ',' or ';' or '\'' or ')' or '\\')
            end--;
        return end;
    }

    /// <summary>A digit, a sign, or a capital inside: not a word of a sentence.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool LooksSecret(int position, out int digits)
    {
        var end = Value(position);
        digits = 0;
        var (signs, capitals, lower, dashes) = (0, 0, 0, 0);
        for (var index = position; index < end; index++)
        {
            var character = _text[index];
            if (char.IsAsciiDigit(character))
                digits++;
            else if (char.IsUpper(character) && index > position)
                capitals++;
            else if (char.IsLower(character))
                lower++;
            else if (character == '-' && index > position)
                dashes++;
            else if (!char.IsLetter(character) && character is not ('\'' or '-' or ',' or '.' or ';' or ':' or '!' or '?' or '(' or ')'))
                signs++;
        }

        return digits > 0 || signs > 0 || (capitals > 0 && lower > 0) || dashes >= 2;
    }

    /// <summary>correct-horse-battery-staple: at least four words in one.</summary>
    private bool IsPassphrase(int position)
    {
        var dashes = 0;
        for (var end = Value(position); position < end; position++)
        {
            if (_text[position] == '-')
                dashes++;
            else if (!char.IsAsciiLetterOrDigit(_text[position]))
                return false;
        }

        return dashes >= 3;
    }

    /// <summary>Capitals in the middle of it as no name in code has them.</summary>
    private bool LooksChosen(int start, int end)
    {
        var (turns, previous, run, inWords) = (0, 0, 0, 0);
        for (var index = start; index < end; index++)
        {
            var type = char.IsLower(_text[index]) ? 1 : char.IsUpper(_text[index]) ? 2 : 3;
            turns += previous != 0 && type != previous ? 1 : 0;
            run = type == 1 ? run + 1 : 0;
            inWords += run == 3 ? 3 : run > 3 ? 1 : 0;
            previous = type;
        }

        return end - start >= 8 && turns >= 4 && inWords * 2 < end - start;
    }
}
