using System.Text.Json;
using Moebius.Inference.Text;

namespace Moebius.Inference.Tools;

/// <summary>What a request says of its tools' parameters, for formats that write values without quotes. Pure.</summary>
internal sealed class ToolSchemas(JsonElement? tools)
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

    /// <summary>The JSON of a value that is not known to be a text: itself, where it can be read so.</summary>
    public static string Json(string value)
    {
        try
        {
            using var document = JsonDocument.Parse(value, Strict);
            return document.RootElement.GetRawText();
        }
        catch (JsonException)
        {
            return Quoted(value);
        }
    }

    /// <summary>The JSON of a text.</summary>
    public static string Quoted(string text) => JsonSerializer.Serialize(text, JsonStyles.Plain);

    /// <summary>Whether the request calls a parameter a text.</summary>
    /// <param name="tool">The tool's name.</param>
    /// <param name="parameter">The parameter's name.</param>
    public bool IsText(string tool, string parameter)
    {
        if (tools is not { ValueKind: JsonValueKind.Array } list)
            return false;
        foreach (var entry in list.EnumerateArray())
        {
            var function = entry.GetProperty("function");
            if (function.GetProperty("name").GetString() == tool)
                return Member(function, "parameters") is { } parameters && Member(parameters, "properties") is { } properties && Member(properties, parameter) is { } schema && SaysText(schema);
        }

        return false;
    }

    private static bool SaysText(JsonElement schema)
    {
        if (Member(schema, "type") is { } type)
            return type.ValueKind == JsonValueKind.String ? type.GetString() == "string" : type.ValueKind == JsonValueKind.Array && type.EnumerateArray().All(name => name.ValueKind == JsonValueKind.String && name.GetString() == "string");
        return Member(schema, "enum") is { ValueKind: JsonValueKind.Array } values && values.EnumerateArray().All(value => value.ValueKind == JsonValueKind.String);
    }

    private static JsonElement? Member(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value : null;
}
