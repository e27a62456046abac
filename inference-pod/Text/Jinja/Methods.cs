using System.Buffers;
using System.Globalization;
using System.Text;

namespace Moebius.Inference.Text.Jinja;

/// <summary>The methods of strings, mappings and lists that templates use.</summary>
internal static class Methods
{
    /// <summary>The method, or null when the value has none of this name.</summary>
    public static Callable? Find(object? target, string name) => target switch
    {
        string text => OfString(text, name),
        JinjaMap map => OfMap(map, name),
        JinjaList list => OfList(list, name),
        _ => null,
    };

    public static JinjaList Pairs(JinjaMap map) => new([.. map.Select(item => (object?)new JinjaList([item.Key, item.Value], tuple: true))]);

    public static long Runes(string text) => text.EnumerateRunes().Count();

    public static string Upper(string text) => text.ToUpperInvariant();

#pragma warning disable CA1308 // Lower case is what the template asks for.
    public static string Lower(string text) => text.ToLowerInvariant();
#pragma warning restore CA1308

    public static string Capitalize(string text) => text.Length == 0 ? text : Upper(text[..1]) + Lower(text[1..]);

    public static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        var inside = false;
        foreach (var character in text)
        {
            result.Append(inside ? char.ToLowerInvariant(character) : char.ToUpperInvariant(character));
            inside = char.IsLetter(character);
        }

        return result.ToString();
    }

    public static string Strip(string text, object? characters, bool left, bool right)
    {
        var set = characters is null ? null : Python.Text(characters, "characters to strip").EnumerateRunes().ToHashSet();
        var (from, to) = (0, text.Length);
        while (left && from < to && Rune.TryGetRuneAt(text, from, out var first) && Goes(first))
            from += first.Utf16SequenceLength;
        while (right && from < to && Rune.DecodeLastFromUtf16(text.AsSpan(from, to - from), out var last, out var length) == OperationStatus.Done && Goes(last))
            to -= length;
        return text[from..to];

        bool Goes(Rune character) => set?.Contains(character) ?? Python.IsSpace(character);
    }

    private static Callable? OfString(string text, string name)
    {
        Func<Arguments, object?>? method = name switch
        {
            "strip" => arguments => Strip(text, arguments.Get(0, "chars"), true, true),
            "lstrip" => arguments => Strip(text, arguments.Get(0, "chars"), true, false),
            "rstrip" => arguments => Strip(text, arguments.Get(0, "chars"), false, true),
            "split" => arguments => Split(text, arguments, false),
            "rsplit" => arguments => Split(text, arguments, true),
            "splitlines" => arguments => new JinjaList([.. Lines(text, Python.Truth(arguments.Get(0, "keepends", false)))]),
            "startswith" => arguments => Any(arguments.Get(0, "prefix"), prefix => text.StartsWith(prefix, StringComparison.Ordinal)),
            "endswith" => arguments => Any(arguments.Get(0, "suffix"), suffix => text.EndsWith(suffix, StringComparison.Ordinal)),
            "removeprefix" => arguments => Python.Text(arguments.Get(0, "prefix"), "prefix") is var prefix && text.StartsWith(prefix, StringComparison.Ordinal) ? text[prefix.Length..] : text,
            "removesuffix" => arguments => Python.Text(arguments.Get(0, "suffix"), "suffix") is { Length: > 0 } suffix && text.EndsWith(suffix, StringComparison.Ordinal) ? text[..^suffix.Length] : text,
            "replace" => arguments => Replace(text, arguments),
            "upper" => _ => Upper(text),
            "lower" => _ => Lower(text),
            "capitalize" => _ => Capitalize(text),
            "title" => _ => Title(text),
            "find" => arguments => At(text, text.IndexOf(Sub(arguments), StringComparison.Ordinal)),
            "rfind" => arguments => At(text, text.LastIndexOf(Sub(arguments), StringComparison.Ordinal)),
            "count" => arguments => (long)text.AsSpan().Count(Sub(arguments)),
            "join" => arguments => Bounds.Join(text, Python.Items(arguments.Get(0, "iterable")).Select(item => Python.Text(item, "an item to join"))),
            "isdigit" => _ => text.Length > 0 && text.All(char.IsDigit),
            "isalpha" => _ => text.Length > 0 && text.All(char.IsLetter),
            "isalnum" => _ => text.Length > 0 && text.All(char.IsLetterOrDigit),
            "isspace" => _ => text.Length > 0 && text.EnumerateRunes().All(Python.IsSpace),
            "isupper" => _ => text.Any(char.IsLetter) && text == Upper(text),
            "islower" => _ => text.Any(char.IsLetter) && text == Lower(text),
            "zfill" => arguments => ZeroFill(text, Python.Integer(arguments.Get(0, "width"), "width")),
            _ => null,
        };
        string[] parameters = name switch
        {
            "strip" or "lstrip" or "rstrip" => ["chars"],
            "split" or "rsplit" => ["sep", "maxsplit"],
            "splitlines" => ["keepends"],
            "startswith" or "removeprefix" => ["prefix"],
            "endswith" or "removesuffix" => ["suffix"],
            "replace" => ["old", "new", "count"],
            "find" or "rfind" or "count" => ["sub"],
            "join" => ["iterable"],
            "zfill" => ["width"],
            _ => [],
        };
        return Checked(name, method, parameters);

        static string Sub(Arguments arguments) => Python.Text(arguments.Get(0, "sub"), "sub");
    }

    /// <summary>A method that refuses arguments which it does not know: what it passed over could not have the effect that the template wants.</summary>
    private static Callable? Checked(string name, Func<Arguments, object?>? method, params string[] parameters) =>
        method is null ? null : new Callable(name, arguments => method(arguments.Check(name, parameters)));

    /// <summary>A place in a text as templates count: in characters, whatever they take.</summary>
    private static long At(string text, int index) => index < 0 ? index : Runes(text[..index]);

    private static Callable? OfMap(JinjaMap map, string name)
    {
        Func<Arguments, object?>? method = name switch
        {
            "items" => _ => Pairs(map),
            "keys" => _ => new JinjaList([.. map.Keys]),
            "values" => _ => new JinjaList([.. map.Values]),
            "get" => arguments => map.TryGet(arguments.Get(0, "key"), out var value) ? value : arguments.Get(1, "default"),
            "copy" => _ => Copy(map),
            _ => null,
        };
        string[] parameters = name == "get" ? ["key", "default"] : [];
        return Checked(name, method, parameters);
    }

    private static Callable? OfList(JinjaList list, string name)
    {
        Func<Arguments, object?>? method = name switch
        {
            "index" => arguments => list.Items.FindIndex(item => Python.Same(item, arguments.Get(0, "value"))) is >= 0 and var index ? (long)index : throw new JinjaException("'index' does not find the value"),
            "count" => arguments => (long)list.Items.Count(item => Python.Same(item, arguments.Get(0, "value"))),
            _ => null,
        };
        return Checked(name, method, "value");
    }

    /// <summary>What <c>dict()</c> makes: of a mapping or of pairs, and of named values.</summary>
    public static JinjaMap ToMap(Arguments arguments, string callee)
    {
        if (arguments.Positional.Count > 1)
            throw new JinjaException($"'{callee}' takes at most 1 arguments, {arguments.Positional.Count} were given");
        var map = arguments.Positional.Count == 0 ? new JinjaMap() : arguments.Positional[0] switch
        {
            JinjaMap given => Copy(given),
            JinjaList pairs => OfPairs(pairs),
            var other => throw NoPairs(Python.TypeName(other)),
        };
        foreach (var (name, value) in arguments.Named)
            map[name] = value;
        return map;

        JinjaMap OfPairs(JinjaList pairs)
        {
            var made = new JinjaMap();
            foreach (var pair in pairs.Items)
            {
                if (pair is not JinjaList { Items: [{ } key, var value] })
                    throw NoPairs($"a list with {Python.TypeName(pair)}");
                made[key] = value;
            }

            return made;
        }

        JinjaException NoPairs(string what) => new($"'{callee}' takes a mapping or a list of pairs, not {what}");
    }

    private static JinjaMap Copy(JinjaMap map)
    {
        var copy = new JinjaMap();
        foreach (var (key, value) in map)
            copy[key] = value;
        return copy;
    }

    private static bool Any(object? value, Func<string, bool> test) =>
        value is JinjaList list ? list.Items.Any(item => test(Python.Text(item, "an alternative"))) : test(Python.Text(value, "the argument"));

    private static string Replace(string text, Arguments arguments) => Replace(
        text,
        Python.Text(arguments.Get(0, "old"), "old"),
        Python.Text(arguments.Get(1, "new"), "new"),
        Python.Integer(arguments.Get(2, "count", -1L), "count"));

    /// <summary>Replaces the first occurrences of a text, all where the limit is below 0.</summary>
    public static string Replace(string text, string old, string with, long limit)
    {
        if (old.Length == 0)
            throw new JinjaException("'replace' needs a text to look for");
        var found = 0L;
        for (var at = 0; with.Length > old.Length && (at = text.IndexOf(old, at, StringComparison.Ordinal)) >= 0; at += old.Length)
            found++;
        Bounds.Text(text.Length + (limit < 0 ? found : Math.Min(limit, found)) * (with.Length - old.Length));
        if (limit < 0)
            return text.Replace(old, with, StringComparison.Ordinal);
        var result = new StringBuilder();
        var from = 0;
        for (int at; limit-- > 0 && (at = text.IndexOf(old, from, StringComparison.Ordinal)) >= 0; from = at + old.Length)
            result.Append(text, from, at - from).Append(with);
        return result.Append(text, from, text.Length - from).ToString();
    }

    private static JinjaList Split(string text, Arguments arguments, bool fromRight)
    {
        var limit = Python.Integer(arguments.Get(1, "maxsplit", -1L), "maxsplit");
        if (arguments.Get(0, "sep") is not { } separator)
        {
            if (limit >= 0)
                throw new JinjaException("'split' with maxsplit and without a separator is not supported");
            return new JinjaList([.. Words(text)]);
        }

        var mark = Python.Text(separator, "the separator");
        if (mark.Length == 0)
            throw new JinjaException("'split' needs a separator that is not empty");
        if (limit < 0)
            return new JinjaList([.. text.Split(mark)]);
        if (!fromRight)
            return new JinjaList([.. text.Split(mark, (int)Math.Min(limit, int.MaxValue - 1) + 1)]);
        var parts = new List<object?>();
        while (limit-- > 0 && text.LastIndexOf(mark, StringComparison.Ordinal) is >= 0 and var at)
        {
            parts.Insert(0, text[(at + mark.Length)..]);
            text = text[..at];
        }

        parts.Insert(0, text);
        return new JinjaList(parts);
    }

    private static string ZeroFill(string text, long width)
    {
        Bounds.Text(width);
        var sign = text is ['+' or '-', ..] ? 1 : 0;
        return text.Insert(sign, new string('0', (int)Math.Max(0, width - Runes(text))));
    }

    private static IEnumerable<string> Words(string text)
    {
        var word = new StringBuilder();
        foreach (var character in text.EnumerateRunes())
        {
            if (!Python.IsSpace(character))
            {
                word.Append(character);
                continue;
            }

            if (word.Length > 0)
                yield return word.ToString();
            word.Clear();
        }

        if (word.Length > 0)
            yield return word.ToString();
    }

    /// <summary>Its lines, without what ends them unless that is to stay.</summary>
    public static IEnumerable<string> Lines(string text, bool withEnds = false)
    {
        var from = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] is not ('\n' or '\r' or '\v' or '\f' or '\x1c' or '\x1d' or '\x1e' or '\x85' or '\u2028' or '\u2029'))
                continue;
            var end = i;
            if (text[i] == '\r' && i + 1 < text.Length && text[i + 1] == '\n')
                i++;
            yield return text[from..(withEnds ? i + 1 : end)];
            from = i + 1;
        }

        if (from < text.Length)
            yield return text[from..];
    }

    /// <summary>Formats a time as C's <c>strftime</c> does.</summary>
    public static string FormatTime(DateTimeOffset time, string format)
    {
        var result = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                result.Append(format[i]);
                continue;
            }

            var code = format[++i];
            var bare = code == '-' && i + 1 < format.Length;
            if (bare)
                code = format[++i];
            var text = code switch
            {
                'Y' => time.ToString("yyyy", CultureInfo.InvariantCulture),
                'y' => time.ToString("yy", CultureInfo.InvariantCulture),
                'm' => time.ToString("MM", CultureInfo.InvariantCulture),
                'd' => time.ToString("dd", CultureInfo.InvariantCulture),
                'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
                'H' => time.ToString("HH", CultureInfo.InvariantCulture),
                'I' => time.ToString("hh", CultureInfo.InvariantCulture),
                'M' => time.ToString("mm", CultureInfo.InvariantCulture),
                'S' => time.ToString("ss", CultureInfo.InvariantCulture),
                'p' => time.ToString("tt", CultureInfo.InvariantCulture),
                'b' => time.ToString("MMM", CultureInfo.InvariantCulture),
                'B' => time.ToString("MMMM", CultureInfo.InvariantCulture),
                'a' => time.ToString("ddd", CultureInfo.InvariantCulture),
                'A' => time.ToString("dddd", CultureInfo.InvariantCulture),
                'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
                'F' => time.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
                'T' => time.ToString("HH:mm:ss", CultureInfo.InvariantCulture),
                '%' => "%",
                _ => throw new JinjaException($"'strftime_now' does not know '%{code}'"),
            };
            result.Append(bare ? text.TrimStart('0', ' ') is { Length: > 0 } trimmed ? trimmed : "0" : text);
        }

        return result.ToString();
    }
}
