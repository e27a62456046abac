namespace Moebius.KvCache.Detection;

/// <summary>What stands where a secret would: a variable, a call, a type, nothing. Pure.</summary>
internal static class Placeholders
{
    private static readonly WordTable Words = WordTable.Of(
    [
        "null", "none", "nil", "true", "false", "undefined", "string", "str", "text", "required", "optional", "empty", "bool", "object", "any", "int", "varchar", "char", "bytes", "secret", "password", "hidden", "yes", "no",
    ]);

    /// <summary>Whether the value names or describes a secret and is none.</summary>
    public static bool IsOne(ReadOnlySpan<char> value)
    {
        value = value.Trim("'\"`");
        while (value.Length > 0 && value[^1] is ',' or ';' or ')' or ']' or '}' && !(value[0] is '{' or '[' or '$'))
            value = value[..^1];
        if (value.Length == 0 || Words.Contains(value))
            return true;
        // ${DB_PASSWORD}, $(cat key), {{ .Values.key }}, %s, <key>, ****, ....
        if (value.StartsWith("${") || value.StartsWith("$(") || value.StartsWith("{{") || value.StartsWith("%(") || value is "%s" or "%v" or "%q" || value[0] == '<' || value.Trim("*.x•_-").IsEmpty)
            return true;
        // &self, &mut key: a reference.
        if (value[0] == '&' && value.Length > 1 && IsName(value[1..], upper: false))
            return true;
        if (value.StartsWith("http://") || value.StartsWith("https://"))
            return true;
        if (value[0] == '$' && value.Length > 1 && IsName(value[1..], upper: true))
            return true;
        if (value[0] == '{' && value[^1] == '}' && IsName(value[1..^1], upper: false))
            return true;
        // getToken(client), os.environ["KEY"]: a name, then a bracket.
        var bracket = value.IndexOfAny('(', '[');
        if (bracket > 1 && IsPath(value[..bracket], 0))
            return true;
        return IsPath(value, 1);
    }

    /// <summary>settings.SECRET_KEY, process.env.KEY, user->key: names with at least so many dots between them.</summary>
    private static bool IsPath(ReadOnlySpan<char> value, int leastDots)
    {
        var (dots, start) = (0, 0);
        for (var index = 0; index <= value.Length; index++)
        {
            if (index < value.Length && (char.IsAsciiLetter(value[index]) || value[index] == '_' || (index > start && char.IsAsciiDigit(value[index]) && index - start >= 3)))
                continue;
            if (index == start)
                return false;
            if (index == value.Length)
                break;
            if (value[index] is '.' or '/' || (value[index] == ':' && index + 1 < value.Length && value[index + 1] == ':'))
                dots++;
            else if (value[index] == '-' && index + 1 < value.Length && value[index + 1] == '>')
                dots++;
            else
                return false;
            if (value[index] is not ('.' or '/'))
                index++;
            start = index + 1;
        }

        return dots >= leastDots;
    }

    private static bool IsName(ReadOnlySpan<char> value, bool upper)
    {
        foreach (var character in value)
        {
            if (!(char.IsAsciiLetterUpper(character) || character == '_' || char.IsAsciiDigit(character) || (!upper && (char.IsAsciiLetter(character) || character is '.' or '-' or ' '))))
                return false;
        }

        return value.Length > 0;
    }
}
