using System.Globalization;
using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Generation;

/// <summary>
/// Adds to the descriptions of a schema what <c>kubectl explain</c> does not show: how a quantity or a duration is
/// written, the range of a number, and the default.
/// </summary>
internal static class FieldFacts
{
    /// <summary>Completes the descriptions of every field below a schema.</summary>
    public static void AddTo(V1JSONSchemaProps schema)
    {
        foreach (var field in schema.Properties?.Values ?? [])
        {
            var facts = string.Join(" ", Facts(field));
            if (field.Description is { } text && facts.Length > 0)
            {
                // Before the list of allowed values: kubectl would wrap what follows into its last item.
                var end = text.IndexOf("\n- ", StringComparison.Ordinal) is var list and >= 0 ? list : text.Length;
                field.Description = text.Insert(end, " " + facts);
            }

            AddTo(field);
        }

        if ((schema.Items ?? schema.AdditionalProperties) is V1JSONSchemaProps item)
            AddTo(item);
    }

    private static IEnumerable<string> Facts(V1JSONSchemaProps field)
    {
        if (field.Pattern == SchemaGenerator.BytesPattern)
            yield return "Quantity of bytes, such as 512Mi.";
        if (field.Pattern == Patterns.Percentage)
            yield return "Whole number, or percentage such as 25%.";
        if (field.Pattern == Durations.Pattern)
            yield return "Duration, such as 1h30m, 60s or 250ms.";
        if (field is { Minimum: { } minimum, Maximum: { } maximum })
            yield return string.Create(CultureInfo.InvariantCulture, $"From {minimum} to {maximum}.");
        if (field.DefaultProperty is JsonValue value)
            yield return $"Default: {value}.";
    }
}
