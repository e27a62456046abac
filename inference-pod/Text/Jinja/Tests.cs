using System.Numerics;

namespace Moebius.Inference.Text.Jinja;

/// <summary>The tests: <c>value is name(arguments)</c>.</summary>
internal static class Tests
{
    private delegate bool Function(object? value, object? argument);

    private static readonly Dictionary<string, Function> All = new(StringComparer.Ordinal)
    {
        ["boolean"] = (value, _) => value is bool,
        ["callable"] = (value, _) => value is Callable,
        ["defined"] = (value, _) => value is not Undefined,
        ["divisibleby"] = (value, argument) => Python.Integer(value, "the value") % Python.Integer(argument, "the divisor") == 0,
        ["eq"] = Python.Same,
        ["equalto"] = Python.Same,
        ["=="] = Python.Same,
        ["even"] = (value, _) => Python.Integer(value, "the value") % 2 == 0,
        ["false"] = (value, _) => value is false,
        ["float"] = (value, _) => value is double,
        ["ge"] = (value, argument) => Python.Compare(value, argument) >= 0,
        ["gt"] = (value, argument) => Python.Compare(value, argument) > 0,
        ["greaterthan"] = (value, argument) => Python.Compare(value, argument) > 0,
        ["in"] = (value, argument) => Python.Contains(argument, value),
        ["integer"] = (value, _) => value is long or BigInteger,
        ["iterable"] = (value, _) => value is JinjaList or JinjaMap or string or Undefined,
        ["le"] = (value, argument) => Python.Compare(value, argument) <= 0,
        ["lower"] = (value, _) => Python.Str(value) is var text && text == Methods.Lower(text) && text != Methods.Upper(text),
        ["lt"] = (value, argument) => Python.Compare(value, argument) < 0,
        ["lessthan"] = (value, argument) => Python.Compare(value, argument) < 0,
        ["mapping"] = (value, _) => value is JinjaMap,
        ["ne"] = (value, argument) => !Python.Same(value, argument),
        ["none"] = (value, _) => value is null,
        ["number"] = (value, _) => value is long or BigInteger or double or bool,
        ["odd"] = (value, _) => Python.Integer(value, "the value") % 2 != 0,
        ["sameas"] = (value, argument) => ReferenceEquals(value, argument) || (value is bool or null && Equals(value, argument)),
        ["sequence"] = (value, _) => value is JinjaList or JinjaMap or string or Undefined,
        ["string"] = (value, _) => value is string,
        ["true"] = (value, _) => value is true,
        ["undefined"] = (value, _) => value is Undefined,
        ["upper"] = (value, _) => Python.Str(value) is var text && text == Methods.Upper(text) && text != Methods.Lower(text),
    };

    private static readonly HashSet<string> WithArgument = new(StringComparer.Ordinal)
    {
        "divisibleby", "eq", "equalto", "==", "ge", "gt", "greaterthan", "in", "le", "lt", "lessthan", "ne", "sameas",
    };

    public static bool Exists(string name) => All.ContainsKey(name);

    public static bool Check(string name, object? value, Arguments arguments) => All.TryGetValue(name, out var test)
        ? test(value, (WithArgument.Contains(name) ? arguments.Check(name, "other") : arguments.Check(name)).Get(0, "other"))
        : throw new JinjaException($"the test '{name}' is not supported");
}
