using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>Values that a word announces: password assignments, authorization headers, passwords inside URLs.</summary>
internal sealed class AssignmentScanner(ScanView view, FindingSink sink)
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
        var limit = Math.Min(view.Length, end + MaxGap);
        var position = end;
        var (assigned, spoken, words) = (false, false, 0);
        while (position < limit)
        {
            var character = _text[position];
            if (character is ':' or '=' or '>')
            {
                assigned = true;
                position++;
            }
            else if (character is ' ' or '"' or '\'' or '`' or '\t' or ')' or '(' or '[' or ']' or '-' or '_' or '*' or '#')
            {
                // A value in quotes right behind the word: password "abc".
                spoken |= position > end && character is '"' or '`';
                position++;
            }
            else if (assigned)
            {
                break;
            }
            else if (char.IsLetter(character))
            {
                if (weak && secret && position - end > 2)
                    break;
                var word = position;
                while (word < limit && char.IsLetter(_text[word]))
                    word++;
                var isVerb = word - position <= 8 && Verbs.Contains(_text.AsSpan(position, word - position));
                if (spoken || (!isVerb && (word == limit || !(_text[word] is ' ' or ':' or '=' or '_' or '-'))))
                    break;
                if (!isVerb && (++words > 2 || LooksSecret(position, out _)))
                    break;
                spoken |= isVerb;
                position = word;
            }
            else
            {
                break;
            }
        }

        if (position >= view.Length)
            return;
        var valueEnd = Value(position);
        if (valueEnd - position < 3)
            return;
        var looks = LooksSecret(position, out var digits);
        if (secret ? (assigned && !weak) || (looks && (!weak || ((assigned || spoken) && digits > 0))) : (assigned || spoken) && looks && valueEnd - position >= 8 && digits > 0)
            sink.Add(view, secret ? SecretKind.Password : SecretKind.ApiKey, start, valueEnd);
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
        if (valueEnd - position >= 8 && (LooksSecret(position, out _) || valueEnd - position >= 24))
            sink.Add(view, SecretKind.AuthorizationHeader, start, valueEnd);
    }

    /// <summary>A user and a password before the host of a URL.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ScanUrl(int colon)
    {
        var position = colon + 3;
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
        while (end < view.Length && end - position < MaxValue && _text[end] is not (' ' or '\n' or '\r' or '\t' or '"' or '`' or '<' or '>'))
            end++;
        while (end > position && _text[end - 1] is '.' or ',' or ';' or '\'' or ')')
            end--;
        return end;
    }

    /// <summary>A digit, a sign, or a capital inside: not a word of a sentence.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool LooksSecret(int position, out int digits)
    {
        var end = Value(position);
        digits = 0;
        var (signs, capitals, lower) = (0, 0, 0);
        for (var index = position; index < end; index++)
        {
            var character = _text[index];
            if (char.IsAsciiDigit(character))
                digits++;
            else if (char.IsUpper(character) && index > position)
                capitals++;
            else if (char.IsLower(character))
                lower++;
            else if (!char.IsLetter(character) && character is not ('\'' or '-' or ',' or '.' or ';' or ':' or '!' or '?' or '(' or ')'))
                signs++;
        }

        return digits > 0 || signs > 0 || (capitals > 0 && lower > 0);
    }
}
