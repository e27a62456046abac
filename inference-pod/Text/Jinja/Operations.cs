using System.Text;

namespace Moebius.Inference.Text.Jinja;

/// <summary>Operators and access to parts of values.</summary>
internal static class Operations
{
    public static object? Apply(string symbol, object? left, object? right)
    {
        if (symbol == "~")
            return Bounds.Concat(Python.Str(left), Python.Str(right));
        if (left is Undefined or null || right is Undefined or null)
            throw Wrong(symbol, left, right);
        return (symbol, left, right) switch
        {
            ("+", string a, string b) => Bounds.Concat(a, b),
            ("+", JinjaList a, JinjaList b) => Together(a, b),
            ("*", string a, long or bool) => Repeat(a, Python.Integer(right, "the count")),
            ("*", long or bool, string b) => Repeat(b, Python.Integer(left, "the count")),
            (_, long or bool, long or bool) => Integers(symbol, Python.Integer(left, ""), Python.Integer(right, "")),
            _ when Python.Number(left) is { } a && Python.Number(right) is { } b => Floats(symbol, a, b),
            _ => throw Wrong(symbol, left, right),
        };
    }

    public static object? Negate(object? value) => value switch
    {
        // Without the cast both would become floating point.
        long integer => (object)Fitting(() => checked(-integer)),
        double number => -number,
        _ => throw new JinjaException($"'-' cannot take {Python.TypeName(value)}"),
    };

    /// <summary><c>target.name</c>: methods first, then items.</summary>
    public static object? Attribute(object? target, string name)
    {
        if (Methods.Find(target, name) is { } method)
            return method;
        return target switch
        {
            JinjaMap map => map.TryGet(name, out var value) ? value : new Undefined($"'{name}'"),
            Namespace space => space.Fields.TryGetValue(name, out var value) ? value : new Undefined($"'{name}'"),
            Undefined undefined => throw new JinjaException($"'{name}' is asked of {undefined.What}, which is undefined"),
            _ => new Undefined($"'{name}' of {Python.TypeName(target)}"),
        };
    }

    /// <summary><c>target[key]</c>: items first, then methods.</summary>
    public static object? Item(object? target, object? key)
    {
        switch (target)
        {
            case JinjaMap map:
                if (map.TryGet(key, out var value))
                    return value;
                break;
            case JinjaList list when key is long or bool:
                var index = Index(Python.Integer(key, "the index"), list.Items.Count);
                return index < 0 ? new Undefined("an item past the end of a list") : list.Items[index];
            case string text when key is long or bool:
                var characters = new Characters(text);
                var at = Index(Python.Integer(key, "the index"), characters.Count);
                return at < 0 ? new Undefined("a character past the end of a string") : characters.Slice(at, at + 1, 1);
            case Undefined undefined:
                throw new JinjaException($"'{Python.Str(key)}' is asked of {undefined.What}, which is undefined");
        }

        return key is string name ? Attribute(target, name) : new Undefined($"'{Python.Str(key)}'");
    }

    public static object? Slice(object? target, object? start, object? stop, object? step)
    {
        var by = step is null ? 1 : Python.Integer(step, "the step of a slice");
        if (by == 0)
            throw new JinjaException("the step of a slice must not be 0");
        // Past any end, and far from overflow.
        by = Math.Clamp(by, -int.MaxValue, int.MaxValue);
        if (target is Undefined undefined)
            throw new JinjaException($"a slice is asked of {undefined.What}, which is undefined");
        if (target is not (string or JinjaList))
            return new Undefined($"a slice of {Python.TypeName(target)}");
        var characters = new Characters(target as string ?? "");
        var list = target as JinjaList;
        var count = list?.Items.Count ?? characters.Count;
        var from = Clamp(start, by > 0 ? 0 : count - 1, count, by);
        var to = Clamp(stop, by > 0 ? count : -1, count, by);
        if (list is null)
            return characters.Slice(from, to, by);
        var result = new List<object?>();
        for (var i = from; by > 0 ? i < to : i > to; i += by)
            result.Add(list.Items[(int)i]);
        return new JinjaList(result, tuple: list.Tuple);
    }

    private static long Clamp(object? bound, long otherwise, int count, long step)
    {
        if (bound is null)
            return otherwise;
        var value = Python.Integer(bound, "the bound of a slice");
        if (value < 0)
            value += count;
        return step > 0 ? Math.Clamp(value, 0, count) : Math.Clamp(value, -1, count - 1);
    }

    private static int Index(long index, int count)
    {
        if (index < 0)
            index += count;
        return index >= 0 && index < count ? (int)index : -1;
    }

    private static JinjaList Together(JinjaList first, JinjaList second)
    {
        Bounds.Items((long)first.Items.Count + second.Items.Count);
        return new JinjaList([.. first.Items, .. second.Items]);
    }

    private static string Repeat(string text, long count)
    {
        if (text.Length > 0 && count > Bounds.LargestText / text.Length)
            throw new JinjaException("the text is repeated too often");
        return count <= 0 ? "" : new StringBuilder().Insert(0, text, (int)count).ToString();
    }

    private static object Integers(string symbol, long a, long b)
    {
        if (b == 0 && symbol is ("/" or "//" or "%"))
            throw new JinjaException("division by zero");
        return symbol switch
        {
            "+" => Fitting(() => checked(a + b)),
            "-" => Fitting(() => checked(a - b)),
            "*" => Fitting(() => checked(a * b)),
            "/" => (double)a / b,
            "//" => Fitting(() => (a / b) - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0)),
            "%" => b == -1 ? 0L : a % b is var rest && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest,
            _ => b < 0 ? Math.Pow(a, b) : (object)Fitting(() => Power(a, b)),
        };
    }

    /// <summary>Exact, as floating point is up to 53 bits only.</summary>
    private static long Power(long number, long exponent)
    {
        long power = 1;
        for (; exponent > 0; exponent >>= 1)
        {
            if ((exponent & 1) != 0)
                power = checked(power * number);
            if (exponent > 1)
                number = checked(number * number);
        }

        return power;
    }

    /// <summary>An integer, which Python would give any number of digits.</summary>
    public static long Fitting(Func<long> integer)
    {
        try
        {
            return integer();
        }
        catch (OverflowException)
        {
            throw new JinjaException("an integer has more than 64 bits");
        }
    }

    private static object Floats(string symbol, double a, double b)
    {
        if (b == 0 && symbol is ("/" or "//" or "%"))
            throw new JinjaException("division by zero");
        return symbol switch
        {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "//" => Math.Floor(a / b),
            "%" => a - (b * Math.Floor(a / b)),
            _ => Math.Pow(a, b),
        };
    }

    private static JinjaException Wrong(string symbol, object? left, object? right) =>
        new($"'{symbol}' cannot take {Python.TypeName(left)} and {Python.TypeName(right)}");
}
