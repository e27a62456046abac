using System.Globalization;
using System.Numerics;
using System.Text;

namespace Moebius.Inference.Text.Jinja;

/// <summary>Python's view of values: what templates were written against.</summary>
internal static class Python
{
    /// <summary>What <c>str()</c> gives.</summary>
    public static string Str(object? value) => value switch
    {
        string text => text,
        Undefined => "",
        _ => Repr(value),
    };

    /// <summary>What <c>repr()</c> gives.</summary>
    public static string Repr(object? value)
    {
        Bounds.Nesting();
        switch (value)
        {
            case null:
                return "None";
            case bool flag:
                return flag ? "True" : "False";
            case long integer:
                return integer.ToString(CultureInfo.InvariantCulture);
            case BigInteger integer:
                return integer.ToString(CultureInfo.InvariantCulture);
            case double number:
                return Float(number);
            case string text:
                return Quote(text);
            case JinjaList { Tuple: true } tuple:
                return "(" + Bounds.Join(", ", tuple.Items.Select(Repr)) + (tuple.Items.Count == 1 ? ",)" : ")");
            case JinjaList list:
                return "[" + Bounds.Join(", ", list.Items.Select(Repr)) + "]";
            case JinjaMap map:
                return "{" + Bounds.Join(", ", map.Select(item => Repr(item.Key) + ": " + Repr(item.Value))) + "}";
            case Undefined:
                return "Undefined";
            default:
                return $"<{TypeName(value)}>";
        }
    }

    public static bool Truth(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        long integer => integer != 0,
        double number => number != 0,
        string text => text.Length > 0,
        JinjaList list => list.Items.Count > 0,
        JinjaMap map => map.Count > 0,
        _ => true,
    };

    public static string TypeName(object? value) => value switch
    {
        null => "none",
        bool => "boolean",
        long or BigInteger => "integer",
        double => "float",
        string => "string",
        JinjaList => "list",
        JinjaMap => "mapping",
        Namespace => "namespace",
        Callable callable => $"function {callable.Name}",
        Undefined undefined => $"undefined value ({undefined.What} is undefined)",
        _ => value.GetType().Name,
    };

    public static bool Same(object? left, object? right)
    {
        if (Number(left) is { } a && Number(right) is { } b)
            return a == b;
        return (left, right) switch
        {
            (null, null) => true,
            (string x, string y) => x == y,
            (Undefined, Undefined) => true,
            (JinjaList x, JinjaList y) => x.Items.Count == y.Items.Count && x.Items.Zip(y.Items).All(pair => Same(pair.First, pair.Second)),
            (JinjaMap x, JinjaMap y) => x.Count == y.Count && x.All(item => y.TryGet(item.Key, out var other) && Same(item.Value, other)),
            _ => ReferenceEquals(left, right),
        };
    }

    public static int Compare(object? left, object? right)
    {
        if (Number(left) is { } a && Number(right) is { } b)
            return a.CompareTo(b);
        switch (left, right)
        {
            case (string x, string y):
                return string.CompareOrdinal(x, y);
            case (JinjaList x, JinjaList y):
                for (var i = 0; i < Math.Min(x.Items.Count, y.Items.Count); i++)
                {
                    if (!Same(x.Items[i], y.Items[i]))
                        return Compare(x.Items[i], y.Items[i]);
                }

                return x.Items.Count.CompareTo(y.Items.Count);
            default:
                throw new JinjaException($"{TypeName(left)} and {TypeName(right)} have no order");
        }
    }

    public static bool Contains(object? container, object? value) => container switch
    {
        string text when value is string part => text.Contains(part, StringComparison.Ordinal),
        JinjaList list => list.Items.Any(item => Same(item, value)),
        JinjaMap map => map.Contains(value),
        Undefined => false,
        _ => throw new JinjaException($"'in' cannot look for {TypeName(value)} in {TypeName(container)}"),
    };

    /// <summary>The items of anything that can be looped over.</summary>
    public static List<object?> Items(object? value) => value switch
    {
        JinjaList list => list.Items,
        JinjaMap map => [.. map.Keys],
        string text => Characters(text),
        Undefined => [],
        _ => throw new JinjaException($"{TypeName(value)} cannot be iterated over"),
    };

    private static List<object?> Characters(string text)
    {
        Bounds.Items(text.Length);
        return [.. text.EnumerateRunes().Select(rune => rune.ToString())];
    }

    public static double? Number(object? value) => value switch
    {
        bool flag => flag ? 1 : 0,
        long integer => integer,
        double number => number,
        BigInteger integer => (double)integer,
        _ => null,
    };

    public static long Integer(object? value, string what) => value switch
    {
        bool flag => flag ? 1 : 0,
        long integer => integer,
        _ => throw new JinjaException($"{what} must be an integer, not {TypeName(value)}"),
    };

    public static string Text(object? value, string what) =>
        value as string ?? throw new JinjaException($"{what} must be a string, not {TypeName(value)}");

    public static string Float(double value)
    {
        if (double.IsNaN(value))
            return "nan";
        if (double.IsInfinity(value))
            return value > 0 ? "inf" : "-inf";
        // Both write the shortest digits that give the number back; Python has exponents below 1e-4 and from 1e16 on.
        var parts = value.ToString("R", CultureInfo.InvariantCulture).TrimStart('-').Split('E');
        var point = parts[0].Split('.');
        var written = point[0] + (point.Length > 1 ? point[1] : "");
        var digits = written.TrimStart('0').TrimEnd('0');
        var sign = double.IsNegative(value) ? "-" : "";
        if (digits.Length == 0)
            return sign + "0.0";
        var exponent = point[0].Length - 1 - (written.Length - written.TrimStart('0').Length) + (parts.Length > 1 ? int.Parse(parts[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) : 0);
        return sign + exponent switch
        {
            < -4 or >= 16 => $"{digits[0]}{(digits.Length > 1 ? "." : "")}{digits[1..]}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture)}",
            < 0 => $"0.{new string('0', -exponent - 1)}{digits}",
            _ when digits.Length > exponent + 1 => $"{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}",
            _ => $"{digits}{new string('0', exponent + 1 - digits.Length)}.0",
        };
    }

    private static string Quote(string text)
    {
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var result = new StringBuilder().Append(quote);
        foreach (var character in text.EnumerateRunes())
        {
            _ = character.Value switch
            {
                '\n' => result.Append("\\n"),
                '\r' => result.Append("\\r"),
                '\t' => result.Append("\\t"),
                '\\' => result.Append("\\\\"),
                _ when character.Value == quote => result.Append('\\').Append(quote),
                _ when IsPrintable(character) => result.Append(character),
                < 0x100 => result.Append(CultureInfo.InvariantCulture, $"\\x{character.Value:x2}"),
                < 0x10000 => result.Append(CultureInfo.InvariantCulture, $"\\u{character.Value:x4}"),
                _ => result.Append(CultureInfo.InvariantCulture, $"\\U{character.Value:x8}"),
            };
        }

        return result.Append(quote).ToString();
    }

    /// <summary>What <c>str.isspace()</c> takes for white space: also the separators that .NET does not.</summary>
    public static bool IsSpace(Rune character) => Rune.IsWhiteSpace(character) || character.Value is >= 0x1c and <= 0x1f;

    private static bool IsPrintable(Rune character) => character.Value == ' ' || Rune.GetUnicodeCategory(character) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
