using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;

namespace Moebius.PromptOptimizer.Models;

/// <summary>An image and its media type.</summary>
internal sealed record GeneratedImage(byte[] Bytes, string MediaType);

/// <summary>The OpenAI images API (<c>POST images/generations</c>), one image a call, taken inline.</summary>
internal sealed class ImageModel(ImageSettings settings, ModelCalls calls) : IImageModel
{
    private const int MaxBytes = 64 * 1024 * 1024;

    private readonly HttpClient _http = ModelCalls.CreateHttpClient();

    public PromptDialect Dialect => settings.Dialect;

    public bool RefusesPrompts => true;

    public Task<GeneratedImage> GenerateAsync(ImagePrompt prompt, CancellationToken cancel) => calls.RunAsync(token => CallAsync(prompt.Positive, token), cancel);

    public void Dispose() => _http.Dispose();

    /// <summary>Media type of an image by its first bytes; null for anything that is not an image a browser shows.</summary>
    internal static string? MediaType(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 8 && bytes[0] == 0x89 && bytes[1..4].SequenceEqual("PNG"u8))
            return "image/png";
        if (bytes.Length > 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff)
            return "image/jpeg";
        return bytes.Length > 12 && bytes.StartsWith("RIFF"u8) && bytes[8..12].SequenceEqual("WEBP"u8) ? "image/webp" : null;
    }

    private async Task<GeneratedImage> CallAsync(string prompt, CancellationToken cancel)
    {
        var endpoint = settings.Endpoint;
        var body = new JsonObject { ["model"] = endpoint.Model, ["prompt"] = prompt, ["n"] = 1, ["size"] = settings.Size };
        // The gpt-image models always answer inline and refuse the field; the others answer with a link unless told.
        if (!endpoint.Model.StartsWith("gpt-image", StringComparison.OrdinalIgnoreCase))
            body["response_format"] = "b64_json";
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(endpoint.Url, "images/generations")) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
        if (endpoint.ApiKey is { } key)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel).ConfigureAwait(false);
        var answer = await ModelAnswers.ReadAsync(response.Content, MaxBytes, cancel).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            throw calls.ForStatus((int)response.StatusCode, response.Headers.RetryAfter?.ToString(), answer, null);
        return Read(answer ?? throw new UnusableAnswerException($"the answer is larger than {MaxBytes} bytes: ask for a smaller image with imageModel.size"), endpoint.Field);
    }

    private static GeneratedImage Read(byte[] answer, string field)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            var bytes = document.RootElement.GetProperty("data")[0].GetProperty("b64_json").GetBytesFromBase64();
            return MediaType(bytes) is { } type
                ? new(bytes, type)
                : throw new ModelRejectedException($"{field}: the image is neither PNG, JPEG nor WebP", "", 200);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw new ModelRejectedException($"{field}: the answer has no data[0].b64_json: an endpoint that answers inline is needed", "", 200, error);
        }
    }
}
