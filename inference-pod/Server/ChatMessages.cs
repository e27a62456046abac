using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.Inference.Server;

/// <summary>Checks a conversation and brings it into the form that chat templates read: every content is one text.</summary>
internal static class ChatMessages
{
    private static readonly string[] Roles = ["system", "developer", "user", "assistant", "tool"];

    public static JsonElement Read(RequestBody body)
    {
        if (body.Get("messages") is not { } messages)
            throw ApiException.Invalid("messages", "'messages' is required.", "missing_required_parameter");
        if (messages.ValueKind != JsonValueKind.Array)
            throw body.Wrong("messages", "an array", messages);
        if (messages.GetArrayLength() == 0)
            throw ApiException.Invalid("messages", "'messages' is empty: at least one message is needed.");
        var result = new JsonArray();
        foreach (var message in messages.EnumerateArray())
            result.Add(Message(message, $"messages[{result.Count}]"));
        return JsonSerializer.SerializeToElement(result);
    }

    private static JsonObject Message(JsonElement message, string name)
    {
        if (message.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(name, "an object", message);
        if (!message.TryGetProperty("role", out var role))
            throw ApiException.Invalid($"{name}.role", $"'{name}.role' is required.", "missing_required_parameter");
        if (RequestBody.String(role, $"{name}.role") is var given && !Roles.Contains(given))
            throw ApiException.Invalid($"{name}.role", $"'{name}.role' must be {string.Join(", ", Roles[..^1].Select(known => $"'{known}'"))} or '{Roles[^1]}'.");
        var result = new JsonObject();
        foreach (var field in message.EnumerateObject())
            result[field.Name] = field.Name == "content" ? Content(field.Value, $"{name}.content") : JsonNode.Parse(field.Value.GetRawText());
        // Null is as good as absent: a template would write the word None.
        if (result["content"] is null && !HasToolCalls(message, name))
            throw ApiException.Invalid($"{name}.content", $"'{name}.content' is required.", "missing_required_parameter");
        result.TryAdd("content", null);
        return result;
    }

    private static bool HasToolCalls(JsonElement message, string name)
    {
        if (!message.TryGetProperty("tool_calls", out var calls) || calls.ValueKind == JsonValueKind.Null)
            return false;
        if (calls.ValueKind != JsonValueKind.Array)
            throw RequestBody.WrongType($"{name}.tool_calls", "an array", calls);
        return calls.GetArrayLength() > 0;
    }

    private static JsonValue? Content(JsonElement content, string name)
    {
        switch (content.ValueKind)
        {
            case JsonValueKind.Null:
                return null;
            case JsonValueKind.String:
                return JsonValue.Create(content.GetString());
            case JsonValueKind.Array:
                return JsonValue.Create(string.Join('\n', content.EnumerateArray().Select((part, i) => Part(part, $"{name}[{i}]"))));
            default:
                throw RequestBody.WrongType(name, "a string or an array of parts", content);
        }
    }

    private static string Part(JsonElement part, string name)
    {
        if (part.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(name, "an object", part);
        if (!part.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || type.GetString() != "text")
            throw ApiException.Invalid($"{name}.type", $"'{name}.type' must be 'text': this model reads nothing else.");
        return part.TryGetProperty("text", out var text)
            ? RequestBody.String(text, $"{name}.text")
            : throw ApiException.Invalid($"{name}.text", $"'{name}.text' is required.", "missing_required_parameter");
    }
}
