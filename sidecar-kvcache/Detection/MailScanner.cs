using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

/// <summary>E-mail addresses, also with spaces around the signs and with "at" and "dot" in brackets or in words.</summary>
internal sealed class MailScanner(ScanView view, FindingSink sink)
{
    private const int MaxLocal = 64;
    private const int MaxDomain = 100;

    // Top-level domains that are spelled out in speech; those that are English words ("is", "in", "at") are not here.
    private static readonly WordTable SpokenEndings = WordTable.Of(
    [
        "com", "org", "net", "edu", "gov", "io", "info", "biz", "dev", "app", "ai", "co", "uk", "de", "fr", "es", "nl", "pl", "ru", "br", "jp", "cn", "kr", "tr", "cz", "se", "ch", "ca", "au", "eu", "ua", "mx", "pt", "ie", "za", "online", "xyz",
    ]);

    private readonly char[] _text = view.Text;

    /// <summary>Judges the address around a sign that stands for "@".</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Scan(int signStart, int signEnd)
    {
        var local = SkipSpacesBack(signStart);
        var start = local;
        while (start > 0 && local - start < MaxLocal && IsLocal(_text[start - 1]))
            start--;
        start = WrittenDotsBefore(start);
        // Full stops and quotes before the address are the sentence's; a name may start with a dot where nothing else is left.
        if (start == local)
            return;
        var end = Domain(signEnd, spaced: local != signStart, out _);
        // git@github.com:owner/name is everybody's.
        if (end > 0 && !(local - start == 3 && _text.AsSpan(start, 3) is "git"))
            sink.Add(view, SecretKind.Email, start, end);
    }

    /// <summary>Judges the address around the word "at": only when a dot is written in an unusual way too.</summary>
    public void ScanWord(int wordStart, int wordEnd)
    {
        if (wordStart < 2 || wordEnd >= view.Length || _text[wordStart - 1] != ' ' || _text[wordEnd] != ' ' || !IsLocal(_text[wordStart - 2]))
            return;
        var start = wordStart - 1;
        while (start > 0 && wordStart - start < MaxLocal && IsLocal(_text[start - 1]))
            start--;
        var end = Domain(wordEnd, spaced: true, out var written);
        if (end > 0 && written)
            sink.Add(view, SecretKind.Email, WrittenDotsBefore(start), end);
    }

    /// <summary>jane DOT roe, jane . roe, jane[dot]roe: the name goes on before a dot.</summary>
    private int WrittenDotsBefore(int start)
    {
        for (var names = 0; names < 3; names++)
        {
            var last = start - 1;
            while (last >= 0 && start - last < 4 && _text[last] == ' ')
                last--;
            if (last < 0 || !(_text[last] is '.' or 't' or 'T' or ']' or ')' or '}' or '>'))
                break;
            var before = _text.AsSpan(Math.Max(0, start - 7), Math.Min(7, start)).TrimEnd(' ');
            var spaced = start > 0 && _text[start - 1] == ' ';
            var trimmed = before.EndsWith("dot", StringComparison.OrdinalIgnoreCase) && spaced ? 3
                : before.EndsWith("[dot]") || before.EndsWith("(dot)") || before.EndsWith("{dot}") || before.EndsWith("<dot>") ? 5
                : before.EndsWith("[.]") || before.EndsWith("(.)") ? 3 : before.EndsWith(" .") && spaced ? 1 : 0;
            if (trimmed == 0)
                break;
            var end = start;
            while (end > 0 && _text[end - 1] == ' ')
                end--;
            end -= trimmed;
            while (end > 0 && start - end < 12 && _text[end - 1] == ' ')
                end--;
            var name = end;
            while (name > 0 && end - name < MaxLocal && IsLocal(_text[name - 1]))
                name--;
            if (name == end)
                break;
            start = name;
        }

        return start;
    }

    /// <summary>Judges "john at example dot com" from the word "dot".</summary>
    public static bool IsSpokenEnding(ReadOnlySpan<char> word) => word.Length <= 6 && SpokenEndings.Contains(word);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Domain(int position, bool spaced, out bool written)
    {
        written = false;
        var limit = Math.Min(view.Length, position + MaxDomain);
        while (position < limit && IsSpace(_text[position]))
            position++;
        var (dots, labelStart, end, spaces) = (0, position, -1, 0);
        while (position < limit)
        {
            var character = _text[position];
            if (IsLabel(character))
            {
                position++;
                if (dots > 0 && position - labelStart >= 2 && char.IsLetter(_text[labelStart]))
                    end = position;
                continue;
            }

            if (position == labelStart)
                break;
            if (character == '.' && position + 1 < limit && IsLabel(_text[position + 1]))
            {
                (dots, labelStart) = (dots + 1, ++position);
                continue;
            }

            if (TryWrittenDot(position, limit, out var after))
            {
                // "a @ b . c": the sentence may just go on, unless the ending is one.
                var word = after;
                while (word < limit && char.IsAsciiLetter(_text[word]))
                    word++;
                if (word - after < 2 || !IsSpokenEnding(_text.AsSpan(after, word - after)))
                    break;
                (dots, labelStart, position, written) = (dots + 1, after, after, true);
                continue;
            }

            // One space inside a domain, if a dot with letters on both sides follows: "exam ple.com".
            if (!IsSpace(character))
                break;
            var behind = position;
            while (behind < limit && behind - position < 4 && IsSpace(_text[behind]))
                behind++;
            if (dots == 0 && spaces++ < 2 && DotAhead(behind, limit, spaced))
            {
                labelStart = position = behind;
                continue;
            }

            // The line ends before or behind a dot: "mail\n.example.org".
            if (behind + 1 < limit && _text.AsSpan(position, behind - position).Contains('\n') && (_text[behind] == '.' || _text[position - 1] == '.') && DotAhead(behind + (_text[behind] == '.' ? 1 : 0), limit, spaced: false, dotted: true))
            {
                (dots, labelStart) = (dots + 1, position = behind + (_text[behind] == '.' ? 1 : 0));
                continue;
            }

            break;
        }

        return end;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool DotAhead(int position, int limit, bool spaced, bool dotted = false)
    {
        var start = position;
        while (position < limit && position - start < 24 && (char.IsAsciiLetterOrDigit(_text[position]) || _text[position] == '-'))
            position++;
        if (dotted && IsSpokenEnding(_text.AsSpan(start, position - start)))
            return true;
        if (position == start || position + 2 >= limit || _text[position] != '.')
            return spaced && position < limit && _text[position] == ' ' && TryWrittenDot(position, limit, out _);
        var word = position + 1;
        while (word < limit && char.IsAsciiLetter(_text[word]))
            word++;
        return IsSpokenEnding(_text.AsSpan(position + 1, word - position - 1));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool TryWrittenDot(int position, int limit, out int after)
    {
        after = position;
        while (after < limit && _text[after] == ' ')
            after++;
        if (after == limit || !(_text[after] is '.' or '[' or '(' or '{' or '<' or 'd' or 'D' or 'p' or 'P'))
            return false;
        var rest = _text.AsSpan(after, limit - after);
        foreach (var form in WrittenDots(rest[0]))
        {
            if (!rest.StartsWith(form, StringComparison.OrdinalIgnoreCase))
                continue;
            after += form.Length;
            while (after < limit && _text[after] == ' ')
                after++;
            return after < limit && char.IsAsciiLetter(_text[after]);
        }

        return false;
    }

    private static ReadOnlySpan<string> WrittenDots(char first) => first switch
    {
        '.' => Dots,
        'd' or 'D' => DotWords,
        'p' or 'P' => PointWords,
        _ => BracketDots,
    };

    private static readonly string[] Dots = ["."];
    private static readonly string[] DotWords = ["dot "];
    private static readonly string[] PointWords = ["punkt ", "punto "];
    private static readonly string[] BracketDots = ["[dot]", "(dot)", "{dot}", "<dot>", "[.]", "(.)", "[ dot ]", "( dot )"];

    private int SkipSpacesBack(int position)
    {
        var start = position;
        while (start > 0 && position - start < 2 && _text[start - 1] == ' ')
            start--;
        // A line may end before the sign.
        if (start == position && start > 0 && _text[start - 1] == '\n')
        {
            start--;
            while (start > 0 && position - start < 4 && IsSpace(_text[start - 1]))
                start--;
        }

        return start;
    }

    private static bool IsSpace(char character) => character is ' ' or '\n' or '\r' or '\t';

    private static bool IsLocal(char character) =>
        char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '%' or '+' or '-' or '\'' || (character >= 128 && char.IsLetterOrDigit(character));

    private static bool IsLabel(char character) =>
        char.IsAsciiLetterOrDigit(character) || character is '-' or '_' || (character >= 128 && char.IsLetterOrDigit(character));
}
