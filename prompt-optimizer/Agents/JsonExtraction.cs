using System.Text;
using System.Text.Json;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>
/// Finds the JSON object in a model's answer. Lenient about what stands around it (code fences, an introduction, a
/// reasoning block), strict about the object: it is well-formed JSON or it is not found.
/// </summary>
internal static class JsonExtraction
{
    // An answer of opening braces only must not cost quadratic time.
    private const int MaxCandidates = 32;
    private const int MaxCharacters = 256 * 1024;

    /// <summary>The first well-formed JSON object in the text, or null.</summary>
    public static string? FindObject(string text)
    {
        if (text.Length > MaxCharacters)
            text = text[..MaxCharacters];
        // Reasoning models think aloud before they answer, at times with braces; the answer comes after.
        var thought = text.LastIndexOf("</think>", StringComparison.Ordinal);
        var start = thought < 0 ? 0 : thought + "</think>".Length;
        for (var candidate = 0; candidate < MaxCandidates; candidate++)
        {
            start = text.IndexOf('{', start);
            if (start < 0)
                return null;
            if (ObjectAt(text, start) is { } found)
                return found;
            start++;
        }

        return null;
    }

    private static string? ObjectAt(string text, int start)
    {
        var bytes = Encoding.UTF8.GetBytes(text, start, text.Length - start);
        var reader = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = 32 });
        try
        {
            reader.Read();
            reader.Skip();
            var found = Encoding.UTF8.GetString(bytes, 0, (int)reader.BytesConsumed);
            // Two values under one name would be read differently by different parsers.
            using var document = JsonDocument.Parse(found, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 32 });
            return found;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
