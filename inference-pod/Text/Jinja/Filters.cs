using System.Globalization;

namespace Moebius.Inference.Text.Jinja;

/// <summary>The filters: <c>value | name(arguments)</c>.</summary>
internal static class Filters
{
    private delegate object? Function(object? value, Arguments arguments);

    private static readonly Dictionary<string, Function> All = new(StringComparer.Ordinal)
    {
        ["abs"] = (value, _) => value is long integer ? (object)Operations.Fitting(() => Math.Abs(integer)) : value is double number ? Math.Abs(number) : throw Wrong("abs", value),
        ["capitalize"] = (value, _) => Methods.Capitalize(Python.Str(value)),
        ["count"] = (value, _) => Length(value),
        ["d"] = Default,
        ["default"] = Default,
        ["dictsort"] = DictSort,
        ["first"] = (value, _) => value is string { Length: > 0 } ? Operations.Item(value, 0L) : Python.Items(value) is [var first, ..] ? first : new Undefined("the first item of an empty list"),
        ["float"] = (value, arguments) => ToFloat(value, arguments.Check("float", "default")),
        ["indent"] = (value, arguments) => Indent(Python.Str(value), arguments.Check("indent", "width", "first", "blank")),
        ["int"] = (value, arguments) => ToInteger(value, arguments.Check("int", "default")),
        ["items"] = (value, _) => value is Undefined ? new JinjaList([]) : Methods.Pairs(value as JinjaMap ?? throw Wrong("items", value)),
        ["join"] = Join,
        ["last"] = (value, _) => value is string { Length: > 0 } ? Operations.Item(value, -1L) : Python.Items(value) is [.., var last] ? last : new Undefined("the last item of an empty list"),
        ["length"] = (value, _) => Length(value),
        ["list"] = (value, _) => new JinjaList([.. Python.Items(value)]),
        ["lower"] = (value, _) => Methods.Lower(Python.Str(value)),
        ["map"] = Map,
        ["max"] = (value, arguments) => Extreme(value, arguments.Check("max", "case_sensitive", "attribute"), 1),
        ["min"] = (value, arguments) => Extreme(value, arguments.Check("min", "case_sensitive", "attribute"), -1),
        ["reject"] = (value, arguments) => Select(value, arguments, false),
        ["rejectattr"] = (value, arguments) => SelectAttribute(value, arguments, false),
        ["replace"] = Replace,
        ["reverse"] = (value, _) => value is string text ? string.Concat(text.EnumerateRunes().Reverse().Select(rune => rune.ToString())) : new JinjaList([.. Python.Items(value).AsEnumerable().Reverse()]),
        ["round"] = (value, arguments) => Round(value, Python.Integer(arguments.Check("round", "precision").Get(0, "precision", 0L), "precision")),
        ["safe"] = (value, _) => value,
        ["select"] = (value, arguments) => Select(value, arguments, true),
        ["selectattr"] = (value, arguments) => SelectAttribute(value, arguments, true),
        ["sort"] = Sort,
        ["string"] = (value, _) => Python.Str(value),
        ["sum"] = (value, arguments) => Python.Items(value).Aggregate(arguments.Check("sum", "attribute", "start").Get(1, "start", 0L), (sum, item) => Operations.Apply("+", sum, Of(item, arguments.Get(0, "attribute")))),
        ["title"] = (value, _) => Methods.Title(Python.Str(value)),
        ["tojson"] = ToJson,
        ["trim"] = (value, arguments) => Methods.Strip(Python.Str(value), arguments.Check("trim", "chars").Get(0, "chars"), true, true),
        ["unique"] = (value, arguments) => Unique(value, arguments.Check("unique", "case_sensitive", "attribute")),
        ["upper"] = (value, _) => Methods.Upper(Python.Str(value)),
    };

    public static bool Exists(string name) => All.ContainsKey(name);

    /// <summary>Those that take no arguments.</summary>
    private static readonly HashSet<string> Bare = new(StringComparer.Ordinal)
    {
        "abs", "capitalize", "count", "first", "items", "last", "length", "list", "lower", "reverse", "safe", "string", "title", "upper",
    };

    public static object? Apply(string name, object? value, Arguments arguments) => All[name](value, Bare.Contains(name) ? arguments.Check(name) : arguments);

    private static JinjaException Wrong(string filter, object? value) => new($"the filter '{filter}' cannot take {Python.TypeName(value)}");

    private static long Length(object? value) => value is string text ? Methods.Runes(text) : value is Undefined ? 0 : value is JinjaMap map ? map.Count : Python.Items(value).Count;

    private static object? Default(object? value, Arguments arguments)
    {
        arguments.Check("default", "default_value", "boolean");
        return value is Undefined || (Python.Truth(arguments.Get(1, "boolean", false)) && !Python.Truth(value)) ? arguments.Get(0, "default_value", "") : value;
    }

    private static JinjaList DictSort(object? value, Arguments arguments)
    {
        arguments.Check("dictsort", "case_sensitive", "by", "reverse");
        var byValue = arguments.Get(1, "by", "key") is "value";
        var folded = !Python.Truth(arguments.Get(0, "case_sensitive", false));
        var pairs = Methods.Pairs(value as JinjaMap ?? throw Wrong("dictsort", value)).Items;
        return InOrder(pairs, Comparer<object?>.Create((left, right) => Python.Compare(Key(left), Key(right))), Python.Truth(arguments.Get(2, "reverse", false)));

        object? Key(object? pair) => ((JinjaList)pair!).Items[byValue ? 1 : 0] is var key && folded && key is string text ? Methods.Lower(text) : key;
    }

    private static string Join(object? value, Arguments arguments)
    {
        arguments.Check("join", "d", "attribute");
        return Bounds.Join(Python.Str(arguments.Get(0, "d", "")), Python.Items(value).Select(item => Python.Str(Of(item, arguments.Get(1, "attribute")))));
    }

    /// <summary>What <c>map</c>, <c>select</c> and the like go through: nothing where the value is as good as none.</summary>
    private static List<object?> ItemsOrNone(object? value) => Python.Truth(value) ? Python.Items(value) : [];

    private static JinjaList Map(object? value, Arguments arguments)
    {
        if (arguments.Named.TryGetValue("attribute", out var attribute))
            return new JinjaList([.. ItemsOrNone(value).Select(item => Of(item, attribute) is Undefined && arguments.Named.TryGetValue("default", out var otherwise) ? otherwise : Of(item, attribute))]);
        var name = Python.Text(arguments.Get(0, "filter"), "the filter of 'map'");
        if (!Exists(name))
            throw new JinjaException($"the filter '{name}' is not supported");
        var rest = new Arguments([.. arguments.Positional.Skip(1)], arguments.Named);
        return new JinjaList([.. ItemsOrNone(value).Select(item => Apply(name, item, rest))]);
    }

    private static object? Extreme(object? value, Arguments arguments, int sign)
    {
        var key = Key(arguments);
        var items = Python.Items(value);
        return items.Count == 0 ? new Undefined("the extreme of an empty list") : items.Aggregate((best, item) => Python.Compare(key(item), key(best)) * sign > 0 ? item : best);
    }

    /// <summary>What items are compared by: themselves or a field, capitals like small letters unless they are to differ.</summary>
    private static Func<object?, object?> Key(Arguments arguments)
    {
        var folded = !Python.Truth(arguments.Get(0, "case_sensitive", false));
        var attribute = arguments.Get(1, "attribute");
        return item => Of(item, attribute) is var key && folded && key is string text ? Methods.Lower(text) : key;
    }

    private static string Replace(object? value, Arguments arguments)
    {
        arguments.Check("replace", "old", "new", "count");
        var limit = arguments.Get(2, "count") is { } count ? Python.Integer(count, "count") : -1;
        return Methods.Replace(Python.Str(value), Python.Str(arguments.Get(0, "old")), Python.Str(arguments.Get(1, "new")), limit);
    }

    private static JinjaList Select(object? value, Arguments arguments, bool keep)
    {
        var test = arguments.Positional.Count > 0 ? Python.Text(arguments.Positional[0], "the test of 'select'") : null;
        var rest = new Arguments([.. arguments.Positional.Skip(1)], arguments.Named);
        return new JinjaList([.. ItemsOrNone(value).Where(item => (test is null ? Python.Truth(item) : Tests.Check(test, item, rest)) == keep)]);
    }

    private static JinjaList SelectAttribute(object? value, Arguments arguments, bool keep)
    {
        var test = arguments.Positional.Count > 1 ? Python.Text(arguments.Positional[1], "the test of 'selectattr'") : null;
        var rest = new Arguments([.. arguments.Positional.Skip(2)], arguments.Named);
        return new JinjaList([.. ItemsOrNone(value).Where(item =>
        {
            var field = Of(item, arguments.Get(0, "attribute"));
            return (test is null ? Python.Truth(field) : Tests.Check(test, field, rest)) == keep;
        })]);
    }

    private static JinjaList Sort(object? value, Arguments arguments)
    {
        arguments.Check("sort", "reverse", "case_sensitive", "attribute");
        var folded = !Python.Truth(arguments.Get(1, "case_sensitive", false));
        var comparer = Comparer<object?>.Create((left, right) => Python.Compare(Key(left), Key(right)));
        var items = Python.Items(value);
        return InOrder(items, comparer, Python.Truth(arguments.Get(0, "reverse", false)));

        object? Key(object? item) => Of(item, arguments.Get(2, "attribute")) is var key && folded && key is string text ? Methods.Lower(text) : key;
    }

    /// <summary>Sorted, equal ones as they stood; what has no order is an error of the template.</summary>
    private static JinjaList InOrder(List<object?> items, Comparer<object?> comparer, bool reverse)
    {
        try
        {
            return new JinjaList([.. reverse ? items.OrderDescending(comparer) : items.Order(comparer)]);
        }
        catch (InvalidOperationException error) when (error.InnerException is JinjaException incomparable)
        {
            throw new JinjaException(incomparable.Message);
        }
    }

    private static JinjaList Unique(object? value, Arguments arguments)
    {
        var key = Key(arguments);
        var result = new List<object?>();
        foreach (var item in Python.Items(value))
        {
            if (!result.Exists(other => Python.Same(key(other), key(item))))
                result.Add(item);
        }

        return new JinjaList(result);
    }

    private static string ToJson(object? value, Arguments arguments)
    {
        arguments.Check("tojson", "indent", "ensure_ascii", "separators", "sort_keys");
        int? indent = arguments.Get(0, "indent") is { } width ? Width(width, "indent") : null;
        var separators = arguments.Get(2, "separators") is JinjaList { Items: [string item, string key] } ? (item, key) : (indent is null ? ", " : ",", ": ");
        return JsonText.Write(value, indent, separators.Item1, separators.Item2, Python.Truth(arguments.Get(3, "sort_keys", false)), Python.Truth(arguments.Get(1, "ensure_ascii", false)));
    }

    /// <summary>As Python does: an integer stays one, and halves go to the even neighbour.</summary>
    private static object Round(object? value, long digits)
    {
        if (value is long or bool)
        {
            var integer = Python.Integer(value, "round");
            var unit = digits is >= 0 or < -19 ? 0 : (decimal)Math.Pow(10, -digits);
            return digits >= 0 ? integer : unit == 0 ? 0L : Operations.Fitting(() => (long)(Math.Round(integer / unit, MidpointRounding.ToEven) * unit));
        }

        var number = Python.Number(value) ?? throw Wrong("round", value);
        return digits switch
        {
            // It has no more.
            > 15 => number,
            >= 0 => Math.Round(number, (int)digits, MidpointRounding.ToEven),
            >= -308 when Math.Pow(10, -digits) is var unit => Math.Round(number / unit, MidpointRounding.ToEven) * unit,
            _ => 0.0,
        };
    }

    private static int Width(object? value, string name) => Python.Integer(value, name) is >= 0 and <= 1000 and var width
        ? (int)width
        : throw new JinjaException($"'{name}' must be from 0 to 1000");

    private static string Indent(string text, Arguments arguments)
    {
        var width = arguments.Get(0, "width", 4L) is string pad ? pad : new string(' ', Width(arguments.Get(0, "width", 4L), "width"));
        var first = Python.Truth(arguments.Get(1, "first", false));
        var blank = Python.Truth(arguments.Get(2, "blank", false));
        return Bounds.Join("\n", Methods.Lines(text + '\n').Select((line, i) => (i == 0 && !first) || (i > 0 && line.Length == 0 && !blank) ? line : width + line));
    }

    private static object? ToInteger(object? value, Arguments arguments) => value switch
    {
        long integer => integer,
        bool flag => flag ? 1L : 0L,
        double number => (long)number,
        string text when long.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out var parsed) => parsed,
        string text when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var parsed) => (long)parsed,
        _ => arguments.Get(0, "default", 0L),
    };

    private static object? ToFloat(object? value, Arguments arguments) =>
        Python.Number(value) ?? (value is string text && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var parsed) ? parsed : arguments.Get(0, "default", 0.0));

    /// <summary>A field of an item; dots descend.</summary>
    private static object? Of(object? item, object? attribute) => attribute switch
    {
        null => item,
        long index => Operations.Item(item, index),
        _ => Python.Text(attribute, "attribute").Split('.').Aggregate(item, (current, part) =>
            long.TryParse(part, CultureInfo.InvariantCulture, out var index) ? Operations.Item(current, index) : Operations.Attribute(current, part)),
    };
}
