using System.Text.Json;

namespace Moebius.Inference.Tools;

/// <summary>What a request says of its tools' parameters, for formats that write values without quotes. Pure.</summary>
internal sealed class ToolSchemas(JsonElement? tools)
{
    private static readonly JsonDocumentOptions s_strict = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

    private static readonly JsonSerializerOptions s_readable = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The JSON of a value as a model wrote it: what the schema calls a text is quoted, all else is JSON where it can be read so.</summary>
    /// <param name="tool">The tool's name.</param>
    /// <param name="parameter">The parameter's name.</param>
    /// <param name="value">Its value.</param>
    public string Json(string tool, string parameter, string value)
    {
        if (!IsText(tool, parameter))
        {
            try
            {
                using var document = JsonDocument.Parse(value, s_strict);
                return document.RootElement.GetRawText();
            }
            catch (JsonException)
            {
                // Then it is a text.
            }
        }

        return JsonSerializer.Serialize(value, s_readable);
    }

    /// <summary>An object's JSON.</summary>
    /// <param name="tool">The tool's name.</param>
    /// <param name="values">Names and values of parameters; of several with one name the last counts.</param>
    public string Object(string tool, IReadOnlyList<(string Name, string Value)> values)
    {
        var last = values.Select((pair, i) => (pair, i)).GroupBy(entry => entry.pair.Name).Select(group => group.Last()).OrderBy(entry => entry.i);
        return "{" + string.Join(", ", last.Select(entry => $"{JsonSerializer.Serialize(entry.pair.Name, s_readable)}: {Json(tool, entry.pair.Name, entry.pair.Value)}")) + "}";
    }

    private bool IsText(string tool, string parameter)
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
