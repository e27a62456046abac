using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using k8s.Models;
using Moebius.Crds.Generation;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Validation;

/// <summary>Compares a JSON value with a structural schema, as an API server does with strict field validation.</summary>
internal sealed class SchemaValidator
{
    private static readonly ConcurrentDictionary<string, Regex> Expressions = new(StringComparer.Ordinal);

    private static readonly string[] TimeFormats = ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"];

    private readonly List<FieldError> _errors = [];

    /// <summary>Everything that is wrong, in the order of the document.</summary>
    public static List<FieldError> Validate(JsonObject value, V1JSONSchemaProps schema, string path = "")
    {
        var validator = new SchemaValidator();
        validator.Visit(value, schema, path);
        return validator._errors;
    }

    private void Visit(JsonNode? value, V1JSONSchemaProps schema, string path)
    {
        if (!FitsType(value, schema))
        {
            Add(path, $"{ValueText.Of(value)}: expected {Expected(schema)}");
            return;
        }

        switch (value)
        {
            case JsonObject fields:
                VisitFields(fields, schema, path);
                break;
            case JsonArray items:
                VisitItems(items, schema, path);
                break;
            case JsonValue scalar:
                VisitScalar(scalar, schema, path);
                break;
        }
    }

    private void VisitFields(JsonObject fields, V1JSONSchemaProps schema, string path)
    {
        CheckCount(fields.Count, schema.MinProperties, schema.MaxProperties, "entries", path);
        foreach (var (name, value) in fields)
        {
            var child = path.Length == 0 ? name : $"{path}.{name}";
            if (schema.Properties?.TryGetValue(name, out var field) == true)
            {
                // A field without a value counts as left out.
                if (value is not null)
                    Visit(value, field, child);
            }
            else if (schema.AdditionalProperties is V1JSONSchemaProps entry)
            {
                Visit(value, entry, child);
            }
            else if (schema.XKubernetesPreserveUnknownFields != true)
            {
                Add(child, "unknown field: " + Known(name, schema));
            }
        }

        foreach (var name in schema.Required ?? [])
        {
            if (fields[name] is null)
                Add(path.Length == 0 ? name : $"{path}.{name}", $"required field is missing: set it to {Expected(schema.Properties![name])}");
        }
    }

    private void VisitItems(JsonArray items, V1JSONSchemaProps schema, string path)
    {
        CheckCount(items.Count, schema.MinItems, schema.MaxItems, "items", path);
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var index = 0; index < items.Count; index++)
        {
            var item = items[index];
            var child = $"{path}[{index}]";
            Visit(item, (V1JSONSchemaProps)schema.Items, child);
            var key = schema.XKubernetesListType switch
            {
                "map" => (item as JsonObject)?[schema.XKubernetesListMapKeys[0]],
                "set" => item,
                _ => null,
            };
            if (key is JsonValue && !seen.TryAdd(key.ToJsonString(), index))
            {
                var field = schema.XKubernetesListType == "map" ? $"{child}.{schema.XKubernetesListMapKeys[0]}" : child;
                Add(field, $"{ValueText.Of(key)} stands at {path}[{seen[key.ToJsonString()]}] already: use each value once");
            }
        }
    }

    private void VisitScalar(JsonValue value, V1JSONSchemaProps schema, string path)
    {
        switch (value.GetValueKind())
        {
            case JsonValueKind.String:
                VisitText(value.GetValue<string>(), schema, path);
                break;
            case JsonValueKind.Number when Convert.ToDouble(value.ToJsonString(), CultureInfo.InvariantCulture) is var number && (number < schema.Minimum || number > schema.Maximum):
                Add(path, $"{ValueText.Of(value)} is out of range: use {Expected(schema)}");
                break;
        }
    }

    private void VisitText(string text, V1JSONSchemaProps schema, string path)
    {
        JsonNode value = text;
        if (schema.EnumProperty is { } allowed && !allowed.Contains(text))
        {
            var names = allowed.Cast<string>().ToList();
            var hint = Suggestions.Nearest(text, names) is { } near ? $"did you mean {near}? Allowed: " : "use one of ";
            Add(path, $"{ValueText.Of(value)} is not allowed: {hint}{string.Join(", ", names)}");
        }
        else if (schema.Pattern is { } pattern && IsNamed(schema) && !Matches(pattern, text))
        {
            Add(path, $"{ValueText.Of(value)} is not {Expected(schema)}");
        }
        else if (text.EnumerateRunes().Count() is var length && (length < schema.MinLength || length > schema.MaxLength))
        {
            Add(path, schema.Pattern == Durations.Pattern ? $"{ValueText.Of(value)} is not {Expected(schema)}" : $"{Plural(length, "characters")}: use {Count(schema.MinLength, schema.MaxLength, "characters")}");
        }
        else if (schema.Pattern is { } expression && !Matches(expression, text))
        {
            Add(path, $"{ValueText.Of(value)} does not match {expression}");
        }
        else if (schema.Format == "date-time" && !DateTimeOffset.TryParseExact(text, TimeFormats, CultureInfo.InvariantCulture, DateTimeStyles.None, out _))
        {
            Add(path, $"{ValueText.Of(value)} is not {Expected(schema)}");
        }
    }

    private void CheckCount(int count, long? minimum, long? maximum, string unit, string path)
    {
        if (count < minimum || count > maximum)
            Add(path, $"{Plural(count, unit)}: use {Count(minimum, maximum, unit)}");
    }

    private void Add(string path, string message) => _errors.Add(new FieldError(path, message));

    private static bool FitsType(JsonNode? value, V1JSONSchemaProps schema) => value switch
    {
        null => false,
        JsonObject => schema.Type == "object",
        JsonArray => schema.Type == "array",
        _ => value.GetValueKind() switch
        {
            JsonValueKind.String => schema.Type == "string" || schema.XKubernetesIntOrString == true,
            JsonValueKind.True or JsonValueKind.False => schema.Type == "boolean",
            JsonValueKind.Number => (schema.Type == "integer" || schema.XKubernetesIntOrString == true) && IsWhole(value.AsValue(), schema.Format),
            _ => false,
        },
    };

    private static bool IsWhole(JsonValue value, string? format) =>
        long.TryParse(value.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) && (format != "int32" || whole is >= int.MinValue and <= int.MaxValue);

    private static bool IsNamed(V1JSONSchemaProps schema) => schema.XKubernetesIntOrString == true || schema.Pattern == Durations.Pattern;

    private static string Expected(V1JSONSchemaProps schema) => schema switch
    {
        { XKubernetesIntOrString: true, Pattern: SchemaGenerator.BytesPattern } => "a quantity of bytes, such as 512Mi or 2Gi",
        { Pattern: Patterns.Percentage } => $"a whole number from {schema.Minimum} to {schema.Maximum}, or a percentage from 0% to 100%",
        { XKubernetesIntOrString: true } => "a quantity, such as 500m, 2 or 512Mi",
        { Pattern: Durations.Pattern } => "a duration: whole numbers with units, largest first, such as 1h30m, 60s or 250ms",
        { EnumProperty: { } values } => "one of " + string.Join(", ", values),
        { Type: "integer", Minimum: { } minimum, Maximum: { } maximum } => $"a whole number from {minimum} to {maximum}",
        { Type: "integer", Minimum: { } minimum } => $"a whole number, {minimum} or more",
        { Type: "integer" } => "a whole number",
        { Type: "boolean" } => "true or false",
        { Format: "date-time" } => "a time, such as 2026-01-31T12:00:00Z",
        { Type: "string" } => "a text",
        { Type: "array" } => "a list",
        { Properties: { } fields } when fields.Count <= 8 => "an object with " + string.Join(", ", fields.Keys),
        _ => "an object with fields",
    };

    private static string Known(string name, V1JSONSchemaProps schema)
    {
        var fields = schema.Properties?.Keys.ToList() ?? [];
        return Suggestions.Nearest(name, fields) is { } near ? $"did you mean {near}?" : "known here: " + string.Join(", ", fields);
    }

    private static string Plural(long count, string unit) => count == 1 ? $"1 {(unit == "entries" ? "entry" : unit[..^1])}" : $"{count} {unit}";

    private static string Count(long? minimum, long? maximum, string unit) => (minimum, maximum) switch
    {
        (null or 0, { } most) => $"at most {Plural(most, unit)}",
        ({ } least, null) => $"at least {Plural(least, unit)}",
        _ => $"{minimum} to {Plural(maximum!.Value, unit)}",
    };

    // In RE2 a dollar sign is the end of the text only; in .NET it also stands before a last line break.
    public static bool Matches(string pattern, string text) => Expressions.GetOrAdd(pattern, static expression =>
        new Regex(expression.EndsWith('$') ? expression[..^1] + @"\z" : expression, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)).IsMatch(text);
}
