using System.Collections;

namespace Moebius.Inference.Text.Jinja;

// Values of the language: null (none), Undefined, bool, long, BigInteger (beyond long), double, string, JinjaList, JinjaMap, Namespace, Callable.

/// <summary>The value of a name or field that does not exist: prints as nothing, fails when something is asked of it.</summary>
internal sealed record Undefined(string What)
{
    public override string ToString() => "";
}

/// <summary>A list or tuple.</summary>
internal sealed class JinjaList(List<object?> items, bool tuple = false) : IEnumerable<object?>
{
    /// <summary>Printed with parentheses.</summary>
    public bool Tuple => tuple;

    public List<object?> Items { get; } = items;

    public IEnumerator<object?> GetEnumerator() => Items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>A mapping that keeps the order of its keys.</summary>
internal sealed class JinjaMap : IEnumerable<KeyValuePair<object, object?>>
{
    private readonly OrderedDictionary<object, object?> _items = [];

    public int Count => _items.Count;

    public ICollection<object> Keys => _items.Keys;

    public ICollection<object?> Values => _items.Values;

    public object? this[object key]
    {
        set => _items[key] = value;
    }

    public bool Contains(object? key) => key is not null && _items.ContainsKey(key);

    public bool TryGet(object? key, out object? value)
    {
        value = null;
        return key is not null && _items.TryGetValue(key, out value);
    }

    public void Add(object key, object? value) => _items[key] = value;

    public IEnumerator<KeyValuePair<object, object?>> GetEnumerator() => _items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>What <c>namespace()</c> makes: the one object whose fields a template may set from an inner scope.</summary>
internal sealed class Namespace(Dictionary<string, object?> fields)
{
    public Dictionary<string, object?> Fields { get; } = fields;
}

/// <summary>Evaluated arguments of a call.</summary>
internal sealed record Arguments(IReadOnlyList<object?> Positional, IReadOnlyDictionary<string, object?> Named)
{
    public static Arguments None { get; } = new([], new Dictionary<string, object?>());

    /// <summary>The argument at a position or of a name.</summary>
    public object? Get(int position, string name, object? otherwise = null) =>
        position < Positional.Count ? Positional[position] : Named.TryGetValue(name, out var value) ? value : otherwise;

    public bool Has(int position, string name) => position < Positional.Count || Named.ContainsKey(name);

    /// <summary>Refuses what the callee does not know.</summary>
    public Arguments Check(string callee, params ReadOnlySpan<string> names)
    {
        if (Positional.Count > names.Length)
            throw new JinjaException($"'{callee}' takes at most {names.Length} arguments, {Positional.Count} were given");
        foreach (var name in Named.Keys)
        {
            if (!names.Contains(name))
                throw new JinjaException($"'{callee}' has no argument '{name}'");
        }

        return this;
    }
}

/// <summary>Something that can be called.</summary>
internal sealed record Callable(string Name, Func<Arguments, object?> Invoke);
