using System.Text.Json;
using System.Text.Json.Nodes;
using NJsonSchema;
using NJsonSchema.Validation;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>The JSON schema of an agent's answer: the full one, to validate with, and the one that goes to the model.</summary>
internal sealed class AgentSchema
{
    // Grammar-constrained servers unroll these into huge grammars, and strict structured output refuses some of them.
    // Validation here still holds the answer to them.
    private static readonly string[] ValidationOnly = ["minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"];

    private readonly JsonSchema _schema;

    public AgentSchema(string schema)
    {
        // There is no other way in, and nothing is waited for: the text is here.
        _schema = JsonSchema.FromJsonAsync(schema).GetAwaiter().GetResult();
        var wire = JsonNode.Parse(schema)!;
        RemoveValidationOnly(wire);
        Wire = JsonSerializer.SerializeToElement(wire);
        WireText = wire.ToJsonString();
    }

    /// <summary>The schema as it is sent.</summary>
    public JsonElement Wire { get; }

    /// <summary>The same as text, for the prompt.</summary>
    public string WireText { get; }

    /// <summary>What is wrong with the object, or null: the field's place and the rule it breaks, never its value.</summary>
    public string? Problem(string json)
    {
        ICollection<ValidationError> errors;
        try
        {
            errors = _schema.Validate(json);
        }
        catch (Newtonsoft.Json.JsonException)
        {
            return "not valid JSON";
        }
        catch (Exception error) when (error is InvalidCastException or OverflowException or FormatException)
        {
            // The validator does not compare numbers of any length.
            return "a number is too large";
        }

        if (errors.Count == 0)
            return null;
        var text = string.Join("; ", errors.Take(3).Select(error => $"{Place(error)}: {error.Kind}"));
        return errors.Count > 3 ? $"{text}; and {errors.Count - 3} more" : text;
    }

    private static string Place(ValidationError error)
    {
        var place = (error.Path ?? "").TrimStart('#', '/');
        if (place.Length == 0)
            return "object";
        return place.Length > 80 ? place[..80] : place;
    }

    private static void RemoveValidationOnly(JsonNode node)
    {
        if (node is JsonObject value)
        {
            // A property may be called like a keyword: only schemas are stripped, and every one of ours has a type.
            if (value["type"] is JsonValue)
                foreach (var keyword in ValidationOnly)
                    value.Remove(keyword);
            foreach (var (_, child) in value)
                if (child is not null)
                    RemoveValidationOnly(child);
        }
        else if (node is JsonArray items)
        {
            foreach (var item in items)
                if (item is not null)
                    RemoveValidationOnly(item);
        }
    }
}
