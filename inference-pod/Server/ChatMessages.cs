using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.Inference.Server;

/// <summary>Checks a conversation and brings it into the form that chat templates read: every content is one text.</summary>
internal static class ChatMessages
{
    /// <summary>The newer name of the role <c>system</c>, which few templates know.</summary>
    public const string Developer = "developer";

    private const string System = "system";

    private static readonly string[] Roles = [System, Developer, "user", "assistant", "tool"];

    /// <param name="body">The request.</param>
    /// <param name="argumentsAsObjects">Arguments of calls become objects where they are some; otherwise they are texts.</param>
    /// <exception cref="ApiException">Messages are missing or wrong.</exception>
    public static JsonElement Read(RequestBody body, bool argumentsAsObjects = true)
    {
        if (body.Get("messages") is not { } messages)
            throw ApiException.Invalid("messages", "'messages' is required.", "missing_required_parameter");
        if (messages.ValueKind != JsonValueKind.Array)
            throw body.Wrong("messages", "an array", messages);
        if (messages.GetArrayLength() == 0)
            throw ApiException.Invalid("messages", "'messages' is empty: at least one message is needed.");
        var result = new JsonArray();
        foreach (var message in messages.EnumerateArray())
            result.Add(Message(message, $"messages[{result.Count}]", argumentsAsObjects));
        return JsonSerializer.SerializeToElement(result);
    }

    /// <summary>The messages with the role <c>system</c> where they have <c>developer</c>.</summary>
    public static JsonElement WithoutDevelopers(JsonElement messages)
    {
        if (!messages.EnumerateArray().Any(static message => message.GetProperty("role").ValueEquals(Developer)))
            return messages;
        var renamed = JsonArray.Create(messages)!;
        foreach (var message in renamed)
        {
            if ((string?)message!["role"] == Developer)
                message["role"] = System;
        }

        return JsonSerializer.SerializeToElement(renamed);
    }

    /// <summary>Whether any message holds calls.</summary>
    public static bool HaveCalls(RequestBody body) =>
        body.Get("messages") is { ValueKind: JsonValueKind.Array } messages
        && messages.EnumerateArray().Any(message => message.ValueKind == JsonValueKind.Object && message.TryGetProperty("tool_calls", out _));

    private static JsonObject Message(JsonElement message, string name, bool argumentsAsObjects)
    {
        if (message.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(name, "an object", message);
        if (!message.TryGetProperty("role", out var role))
            throw ApiException.Invalid($"{name}.role", $"'{name}.role' is required.", "missing_required_parameter");
        if (RequestBody.String(role, $"{name}.role") is var given && !Roles.Contains(given))
            throw ApiException.Invalid($"{name}.role", $"'{name}.role' must be {string.Join(", ", Roles[..^1].Select(known => $"'{known}'"))} or '{Roles[^1]}'.");
        var result = new JsonObject();
        foreach (var field in message.EnumerateObject())
        {
            result[field.Name] = field.Name switch
            {
                "content" => Content(field.Value, $"{name}.content"),
                "tool_calls" when field.Value.ValueKind != JsonValueKind.Null => ToolCalls.Read(field.Value, $"{name}.tool_calls", argumentsAsObjects),
                _ => JsonNode.Parse(field.Value.GetRawText()),
            };
        }

        // The newer name of what templates know by the older one.
        if (result["reasoning_content"] is null && result["reasoning"] is JsonValue reasoning)
            result["reasoning_content"] = reasoning.DeepClone();

        // An answer that ended while it was reasoned about: clients append it to the conversation as it came.
        if (result["content"] is null && (string?)result["role"] == "assistant" && result["reasoning_content"] is JsonValue value && value.TryGetValue(out string? thought) && thought.Length > 0)
            result["content"] = "";

        // Null is as good as absent: a template would write the word None.
        if (result["content"] is null && result["tool_calls"] is not JsonArray { Count: > 0 })
            throw ApiException.Invalid($"{name}.content", $"'{name}.content' is required.", "missing_required_parameter");
        result.TryAdd("content", null);
        // Templates ask whether there is such a field, and would take none for some.
        if (result["tool_calls"] is not JsonArray { Count: > 0 })
            result.Remove("tool_calls");
        return result;
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
        foreach (var field in part.EnumerateObject())
        {
            if (field.Name is not ("type" or "text") && field.Value.ValueKind != JsonValueKind.Null)
                throw ApiException.Invalid($"{name}.{field.Name}", $"'{name}.{field.Name}' is not a parameter of a part of type 'text'.", "unknown_parameter");
        }

        return part.TryGetProperty("text", out var text)
            ? RequestBody.String(text, $"{name}.text")
            : throw ApiException.Invalid($"{name}.text", $"'{name}.text' is required.", "missing_required_parameter");
    }
}
