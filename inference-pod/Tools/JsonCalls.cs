using System.Text.Json;

namespace Moebius.Inference.Tools;

/// <summary>Calls that are written as JSON. Pure.</summary>
internal static class JsonCalls
{
    private static readonly JsonDocumentOptions s_strict = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

    /// <summary>Where the object or array that begins at a place ends: behind its bracket, or -1 where that is not in the text.</summary>
    /// <param name="text">Has a bracket at <paramref name="at"/>.</param>
    /// <param name="at">The place.</param>
    public static int End(string text, int at)
    {
        var depth = 0;
        var quoted = false;
        for (; at < text.Length; at++)
        {
            switch (text[at])
            {
                case '\\' when quoted:
                    at++;
                    break;
                case '"':
                    quoted = !quoted;
                    break;
                case '{' or '[' when !quoted:
                    depth++;
                    break;
                case '}' or ']' when !quoted:
                    if (--depth == 0)
                        return at + 1;
                    break;
            }
        }

        return -1;
    }

    /// <summary>The first place from one on that is not white space; the text's length where there is none.</summary>
    public static int Skip(string text, int at)
    {
        while (at < text.Length && char.IsWhiteSpace(text[at]))
            at++;
        return at;
    }

    /// <summary>The calls that a text is: an object with name and arguments, or an array of such; null where it is none.</summary>
    public static IReadOnlyList<CallPart>? Parse(string json)
    {
        if (Document(json) is not { } root)
            return null;
        if (root.ValueKind != JsonValueKind.Array)
            return Call(root) is { } one ? [one] : null;
        var calls = root.EnumerateArray().Select(Call).ToList();
        return calls.Count > 0 && calls.TrueForAll(call => call is not null) ? [.. calls.OfType<CallPart>()] : null;
    }

    /// <summary>Whether a text is a JSON object, such as arguments are.</summary>
    public static bool IsObject(string json) => Document(json) is { ValueKind: JsonValueKind.Object };

    private static CallPart? Call(JsonElement call)
    {
        if (call.ValueKind != JsonValueKind.Object || !call.TryGetProperty("name", out var name) || name.ValueKind != JsonValueKind.String || name.GetString()!.Length == 0)
            return null;
        // Some were trained to write parameters where others write arguments.
        if (!call.TryGetProperty("arguments", out var arguments) && !call.TryGetProperty("parameters", out arguments))
            return new CallPart(name.GetString()!, "{}");
        return arguments.ValueKind switch
        {
            JsonValueKind.Object => new CallPart(name.GetString()!, arguments.GetRawText()),
            JsonValueKind.Null => new CallPart(name.GetString()!, "{}"),
            // The object's text, as clients send it back.
            JsonValueKind.String when IsObject(arguments.GetString()!) => new CallPart(name.GetString()!, arguments.GetString()!),
            _ => null,
        };
    }

    private static JsonElement? Document(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, s_strict);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
