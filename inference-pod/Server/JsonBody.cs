using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;

namespace Moebius.Inference.Server;

/// <summary>Reads a request's JSON, and writes an answer's.</summary>
internal static class JsonBody
{
    /// <summary>Largest body.</summary>
    public const int LargestBytes = 16 << 20;

    /// <summary>Levels of objects and arrays in one another.</summary>
    private const int DeepestLevel = 64;

    /// <summary>Of two fields of one name, a gateway may have looked at the one and the server use the other.</summary>
    private static readonly JsonDocumentOptions NoDuplicates = new() { AllowDuplicateProperties = false, MaxDepth = DeepestLevel };

    private static readonly JsonSerializerOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static async Task<JsonDocument> ReadAsync(HttpRequest request, CancellationToken stop)
    {
        if (request.ContentType is { } type && !type.Contains("json", StringComparison.OrdinalIgnoreCase))
            throw new ApiException(415, "invalid_request_error", $"The content type is '{type}': send application/json.");
        using var bytes = new MemoryStream();
        try
        {
            await request.Body.CopyToAsync(bytes, stop).ConfigureAwait(false);
        }
        catch (BadHttpRequestException error)
        {
            throw new ApiException(error.StatusCode, "invalid_request_error", error.StatusCode == 413 ? $"The body is larger than {LargestBytes} bytes." : "The body could not be read.");
        }

        var body = bytes.GetBuffer().AsMemory(0, (int)bytes.Length);
        if (!Utf8.IsValid(body.Span))
            throw new ApiException(400, "invalid_request_error", "The body is not valid UTF-8.");
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(body.ToArray(), NoDuplicates);
        }
        catch (JsonException error)
        {
            throw new ApiException(400, "invalid_request_error", error.LineNumber is { } line ? $"The body is not valid JSON, or nested deeper than {DeepestLevel} levels (line {line + 1}, byte {error.BytePositionInLine})." : "The body is not valid JSON: an object names a field twice.");
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object && IsText(document.RootElement))
            return document;
        var isObject = document.RootElement.ValueKind == JsonValueKind.Object;
        document.Dispose();
        throw new ApiException(400, "invalid_request_error", isObject ? "The body has a text with half a surrogate pair, which is not valid Unicode." : "The body must be a JSON object.");
    }

    /// <summary>Sends an object; the status is the caller's.</summary>
    public static async Task WriteAsync(HttpResponse response, JsonObject body)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(Text(body));
        response.ContentType = "application/json; charset=utf-8";
        response.ContentLength = bytes.Length;
        await response.Body.WriteAsync(bytes, response.HttpContext.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>The object on one line, with letters of all scripts as they are.</summary>
    public static string Text(JsonObject body) => body.ToJsonString(s_plain);

    /// <summary>JSON can escape half a surrogate pair; reading such a text later would fail at any place.</summary>
    internal static bool IsText(JsonElement element)
    {
        try
        {
            return element.ValueKind switch
            {
                JsonValueKind.String => element.GetString() is not null,
                JsonValueKind.Array => element.EnumerateArray().All(IsText),
                JsonValueKind.Object => element.EnumerateObject().All(field => field.Name is not null && IsText(field.Value)),
                _ => true,
            };
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }
}
