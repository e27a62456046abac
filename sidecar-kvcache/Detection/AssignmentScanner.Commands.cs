using System.Runtime.CompilerServices;
using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Detection;

// Values that only their place in a command or a phrase tells.
internal sealed partial class AssignmentScanner
{
    /// <summary>How far behind a command's name its options are looked for.</summary>
    private const int MaxCommand = 96;

    /// <summary>A value behind words that only a command or a statement has: sshpass -p x, IDENTIFIED BY 'x', curl -u name:x, mysql -px.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void ScanPhrase(int start, int end)
    {
        var rest = _text.AsSpan(end, Math.Min(8, view.Length - end));
        var from = rest.StartsWith(" -p ") ? end + 4 : rest.StartsWith(" by '", StringComparison.OrdinalIgnoreCase) || rest.StartsWith(" by \"", StringComparison.OrdinalIgnoreCase) ? end + 5 : -1;
        var name = _text.AsSpan(start, end - start);
        if (from < 0 && name.StartsWith("curl", StringComparison.OrdinalIgnoreCase))
            from = Option(end, "-u ") is var user and > 0 && _text.AsSpan(user, Value(user) - user).IndexOf(':') is var colon and > 0 ? user + colon + 1 : -1;
        else if (from < 0 && name.StartsWith("mysql", StringComparison.OrdinalIgnoreCase))
            from = Option(end, "-p");
        if (from < 0)
            return;
        var valueEnd = Value(from);
        if (valueEnd - from >= 3 && !Placeholders.IsOne(_text.AsSpan(from, valueEnd - from)))
            sink.Add(view, SecretKind.Password, start, valueEnd);
    }

    /// <summary>Behind an option of a command on the same line; -1: it has none.</summary>
    private int Option(int end, string option)
    {
        var line = _text.AsSpan(end, Math.Min(MaxCommand, view.Length - end));
        line = line.IndexOf('\n') is var stop and >= 0 ? line[..stop] : line;
        for (var at = 0; at + 1 < line.Length; at++)
        {
            var value = at + 1 + option.Length;
            if (line[at] != ' ' || !line[(at + 1)..].StartsWith(option) || value + 1 >= line.Length || line[value] == ' ')
                continue;
            return end + value + (line[value] is '"' or '\'' ? 1 : 0);
        }

        return -1;
    }

    /// <summary>PIN 4821, otp 482913: four to eight digits right behind such a word; small letters mean another pin.</summary>
    private bool IsCode(int start, int end, int position, int valueEnd)
    {
        var name = _text.AsSpan(start, end - start);
        return (name is "PIN" || (name.Length == 3 && name.StartsWith("otp", StringComparison.OrdinalIgnoreCase)))
            && position - end <= 3 && valueEnd - position is >= 4 and <= 8 && !_text.AsSpan(position, valueEnd - position).ContainsAnyExceptInRange('0', '9');
    }

    /// <summary>"correct horse battery staple": the end of at least four small words in quotes that begin before a position; 0: there are none.</summary>
    private int PhraseEnd(int position)
    {
        if (position == 0 || _text[position - 1] is not ('"' or '\'' or '`'))
            return 0;
        var line = _text.AsSpan(position, Math.Min(MaxCommand, view.Length - position));
        var end = line.IndexOf(_text[position - 1]);
        if (end < 0)
            return 0;
        var spaces = 0;
        foreach (var character in line[..end])
        {
            if (!char.IsAsciiLetterLower(character) && character != ' ')
                return 0;
            spaces += character == ' ' ? 1 : 0;
        }

        return spaces >= 3 ? position + end : 0;
    }
}
