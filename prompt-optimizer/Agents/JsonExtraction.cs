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
    private const string ThoughtEnd = "</think>";

    /// <summary>The first well-formed JSON object in the text, or null.</summary>
    public static string? FindObject(string text)
    {
        if (text.Length > MaxCharacters)
            text = text[..MaxCharacters];
        // Reasoning models think aloud before they answer, at times with braces; the answer comes after. But an answer may
        // quote the mark that ends the thoughts, where a prompt has it.
        var candidates = MaxCandidates;
        for (var end = text.LastIndexOf(ThoughtEnd, StringComparison.Ordinal); end >= 0; end = end == 0 ? -1 : text.LastIndexOf(ThoughtEnd, end - 1, StringComparison.Ordinal))
        {
            if (FindAfter(text, end + ThoughtEnd.Length, ref candidates) is { } found)
                return found;
        }

        return text.Contains(ThoughtEnd, StringComparison.Ordinal) && !IsAnswerAlone(text) ? null : FindAfter(text, 0, ref candidates);
    }

    /// <summary>Whether the text begins with its answer and not with thoughts.</summary>
    private static bool IsAnswerAlone(string text) => text.AsSpan().TrimStart() is ['{', ..] or ['`', '`', '`', ..];

    private static string? FindAfter(string text, int start, ref int candidates)
    {
        for (; candidates > 0; candidates--)
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
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // The second: a name holds half of a surrogate pair.
            return null;
        }
    }
}
