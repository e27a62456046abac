using System.Collections;
using System.Collections.Concurrent;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Moebius.Crds;
using Moebius.Crds.Schema;

namespace Moebius.Operator.Planning.Validation;

/// <summary>
/// Checks an object against the attributes that the CRD schema is generated from: bounds, sizes, patterns, durations,
/// keys, required fields and the CEL rules. For the local runner, and for servers that do not evaluate CEL.
/// </summary>
internal static class SchemaCheck
{
    private static readonly NullabilityInfoContext Nullability = new();
    private static readonly ConcurrentDictionary<Type, Field[]> FieldsOf = new();
    private static readonly ConcurrentDictionary<string, Regex> Expressions = new();

    /// <summary>Every broken rule, as a line that names the field, the value and what would be right.</summary>
    public static IReadOnlyList<string> Errors(object? spec)
    {
        if (spec is null)
            return ["spec: must be set"];
        var errors = new List<string>();
        Check(spec, "spec", errors);
        return errors;
    }

    private static void Check(object value, string path, List<string> errors)
    {
        var before = errors.Count;
        foreach (var field in Fields(value.GetType()))
            CheckField(field, field.Property.GetValue(value), $"{path}.{field.Name}", errors);

        // Rules over several fields make sense only when each field does.
        if (errors.Count > before)
            return;
        errors.AddRange(value.GetType().GetCustomAttributes<CelRuleAttribute>()
            .Where(rule => !CelRules.Holds(rule.Message, value))
            .Select(rule => $"{path}: {rule.Message}"));
    }

    private static void CheckField(Field field, object? value, string path, List<string> errors)
    {
        if (value is null)
        {
            if (field.Required)
                errors.Add($"{path}: must be set");
            return;
        }

        foreach (var rule in field.Rules)
        {
            if (!CelRules.Holds(rule.Message, value))
                errors.Add($"{path}: '{value}': {rule.Message}");
        }

        if (field.Range is { } range && Convert.ToInt64(value, null) is var number && (number < range.Minimum || number > range.Maximum))
            errors.Add($"{path}: {number} is out of range: write a number from {range.Minimum} to {range.Maximum}");
        if (field.Size is { } size)
            CheckSize(size, value, path, errors);
        if (field.Duration && value is string duration && !(duration.Length > 0 && Expression(Durations.Pattern).IsMatch(duration)))
            errors.Add($"{path}: '{duration}' is not a duration: write whole numbers with units, largest first, such as 1h30m, 60s or 250ms");
        switch (value)
        {
            case string text:
                CheckPattern(field, text, path, errors);
                break;
            case IDictionary:
                break;
            case IEnumerable items:
                CheckItems(field, items, path, errors);
                break;
            case var nested when IsOurs(nested.GetType()):
                Check(nested, path, errors);
                break;
        }
    }

    private static void CheckSize(SizeAttribute size, object value, string path, List<string> errors)
    {
        var (count, unit) = value switch
        {
            string text => (text.EnumerateRunes().Count(), "characters"),
            ICollection items => (items.Count, "items"),
            _ => throw new InvalidOperationException($"{path}: a size needs a text, a list or a map"),
        };
        if (count < size.Minimum || count > size.Maximum)
            errors.Add($"{path}: {count} {unit}: must be from {size.Minimum} to {size.Maximum}");
    }

    private static void CheckPattern(Field field, string text, string path, List<string> errors)
    {
        if (field.Pattern is { } pattern && !Expression(pattern.Expression).IsMatch(text))
            errors.Add($"{path}: '{text}' must match {pattern.Expression}");
    }

    private static void CheckItems(Field field, IEnumerable items, string path, List<string> errors)
    {
        var keys = new HashSet<object>();
        var index = 0;
        foreach (var item in items)
        {
            var here = $"{path}[{index++}]";
            switch (item)
            {
                case null:
                    errors.Add($"{here}: must not be null");
                    continue;
                case string text:
                    CheckPattern(field, text, here, errors);
                    break;
                case var nested when IsOurs(nested.GetType()):
                    Check(nested, here, errors);
                    break;
            }

            var key = field.ListMap is { } map
                ? Fields(item.GetType()).FirstOrDefault(candidate => candidate.Name == map.Key)?.Property.GetValue(item)
                : field.ListSet ? item : null;
            if (key is not null && !keys.Add(key))
                errors.Add($"{here}: '{key}' is there twice");
        }
    }

    private static bool IsOurs(Type type) => type is { IsClass: true, Namespace: "Moebius.Crds.V1Alpha1" };

    // The pattern `$` of RE2 is the end of the text; that of .NET also stands before a last line break.
    private static Regex Expression(string pattern) => Expressions.GetOrAdd(pattern, static text =>
        new Regex(text.EndsWith('$') ? text[..^1] + "\\z" : text, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant));

    private static Field[] Fields(Type type)
    {
        return FieldsOf.GetOrAdd(type, static type =>
        {
            // The context caches without locks.
            lock (Nullability)
                return [.. type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(property => new Field(property, Nullability))];
        });
    }

    private sealed class Field(PropertyInfo property, NullabilityInfoContext nullability)
    {
        public PropertyInfo Property { get; } = property;

        public string Name { get; } = JsonNamingPolicy.CamelCase.ConvertName(property.Name);

        public bool Required { get; } = nullability.Create(property).ReadState == NullabilityState.NotNull;

        public RangeAttribute? Range { get; } = property.GetCustomAttribute<RangeAttribute>();

        public SizeAttribute? Size { get; } = property.GetCustomAttribute<SizeAttribute>();

        public PatternAttribute? Pattern { get; } = property.GetCustomAttribute<PatternAttribute>();

        public bool Duration { get; } = property.IsDefined(typeof(DurationAttribute));

        public ListMapAttribute? ListMap { get; } = property.GetCustomAttribute<ListMapAttribute>();

        public bool ListSet { get; } = property.IsDefined(typeof(ListSetAttribute));

        public CelRuleAttribute[] Rules { get; } = [.. property.GetCustomAttributes<CelRuleAttribute>()];
    }
}
