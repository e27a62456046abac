using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.Crds.Validation;

/// <summary>Shows a manifest's values in messages: short, on one line, and without the user and password of a URL.</summary>
internal static class ValueText
{
    private const int Longest = 60;

    /// <summary>The value, texts in quotes.</summary>
    public static string Of(JsonNode? value) => value switch
    {
        null => "no value",
        JsonObject => "an object",
        JsonArray => "a list",
        JsonValue when value.GetValueKind() == JsonValueKind.String => $"'{Short(value.GetValue<string>())}'",
        _ => Short(value.ToJsonString()),
    };

    /// <summary>The value, texts without quotes; a question mark for what is not a single value.</summary>
    public static string Plain(JsonNode? value) => value is JsonValue ? Of(value).Trim('\'') : "?";

    private static string Short(string text)
    {
        var line = string.Concat(WithoutPassword(text).Select(character => char.IsControl(character) ? ' ' : character));
        return line.Length <= Longest ? line : line[..Longest] + "...";
    }

    // Generous: what stands before the last @ of something like a URL may be part of a password.
    private static string WithoutPassword(string text) =>
        text.IndexOf("//", StringComparison.Ordinal) is var start and >= 0 && text.LastIndexOf('@') is var end && end > start ? $"{text[..(start + 2)]}...{text[end..]}" : text;
}
