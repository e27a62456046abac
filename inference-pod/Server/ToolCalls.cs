using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.Inference.Server;

/// <summary>
/// The calls that an assistant's message holds. Clients send a call's arguments as a text of JSON; most chat templates want
/// them as an object, as the reference library documents it, and some as the text.
/// </summary>
internal static class ToolCalls
{
    /// <summary>Levels of arguments that are read; deeper ones stay text.</summary>
    private const int DeepestLevel = 32;

    private static readonly JsonDocumentOptions Plain = new() { AllowDuplicateProperties = false, MaxDepth = DeepestLevel };

    /// <summary>Checks calls and brings them into the form for templates.</summary>
    /// <param name="calls">Of one message.</param>
    /// <param name="name">The field, for errors.</param>
    /// <param name="asObjects">Arguments become objects where they are some.</param>
    /// <exception cref="ApiException">Not a list of calls.</exception>
    public static JsonArray Read(JsonElement calls, string name, bool asObjects)
    {
        if (calls.ValueKind != JsonValueKind.Array)
            throw RequestBody.WrongType(name, "an array", calls);
        return new JsonArray([.. calls.EnumerateArray().Select((call, i) => (JsonNode)Call(call, $"{name}[{i}]", asObjects))]);
    }

    private static JsonObject Call(JsonElement call, string name, bool asObjects)
    {
        if (call.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(name, "an object", call);
        if (!call.TryGetProperty("function", out var function) || function.ValueKind != JsonValueKind.Object)
            throw ApiException.Invalid($"{name}.function", $"'{name}.function' must be an object.");
        if (!function.TryGetProperty("name", out var called) || called.ValueKind != JsonValueKind.String || called.GetString()!.Length == 0)
            throw ApiException.Invalid($"{name}.function.name", $"'{name}.function.name' must be a text.");
        var result = JsonObject.Create(call)!;
        var inner = JsonObject.Create(function)!;
        inner["arguments"] = Arguments(function, $"{name}.function.arguments", asObjects);
        result["function"] = inner;
        return result;
    }

    private static JsonNode? Arguments(JsonElement function, string name, bool asObjects)
    {
        if (!function.TryGetProperty("arguments", out var arguments) || arguments.ValueKind == JsonValueKind.Null)
            return asObjects ? new JsonObject() : JsonValue.Create("{}");
        if (arguments.ValueKind == JsonValueKind.Object)
            return asObjects ? JsonObject.Create(arguments) : JsonValue.Create(arguments.GetRawText());
        var text = RequestBody.String(arguments, name);
        if (!asObjects)
            return JsonValue.Create(text);
        return string.IsNullOrWhiteSpace(text) ? new JsonObject() : Parsed(text, name) ?? JsonValue.Create(text);
    }

    /// <summary>The object that a text is; null where it is none: a model may have written it.</summary>
    private static JsonNode? Parsed(string text, string name)
    {
        try
        {
            using var document = JsonDocument.Parse(text, Plain);
            if (JsonIntegers.AreTooLong(text, DeepestLevel))
                throw JsonIntegers.TooLong(name);
            return document.RootElement.ValueKind == JsonValueKind.Object && JsonBody.IsText(document.RootElement) ? JsonObject.Create(document.RootElement.Clone()) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
