using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;

namespace Moebius.PromptOptimizer.Models;

/// <summary>The OpenAI images API (<c>POST images/generations</c>), one image a call, taken inline.</summary>
internal sealed class ImageModel(ImageSettings settings, ModelCalls calls) : IImageModel
{
    private readonly HttpClient _http = ModelCalls.CreateHttpClient();

    public PromptDialect Dialect => settings.Dialect;

    public bool RefusesPrompts => true;

    public Task<GeneratedImage> GenerateAsync(ImagePrompt prompt, CancellationToken cancel) => calls.RunAsync(token => CallAsync(prompt.Positive, token), cancel);

    public void Dispose() => _http.Dispose();

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
        var answer = await ModelAnswers.ReadAsync(response.Content, GeneratedImage.MaxBytes, cancel).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            throw calls.ForStatus((int)response.StatusCode, response.Headers.RetryAfter?.ToString(), answer, null);
        return Read(answer ?? throw GeneratedImage.TooLarge(), endpoint.Field);
    }

    private static GeneratedImage Read(byte[] answer, string field)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            return GeneratedImage.Of(document.RootElement.GetProperty("data")[0].GetProperty("b64_json").GetBytesFromBase64(), field);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw new ModelRejectedException($"{field}: the answer has no data[0].b64_json: an endpoint that answers inline is needed", "", 200, error);
        }
    }
}
