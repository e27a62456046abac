using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.PromptOptimizer.Models;

/// <summary>Requests to a server of images that speaks no API of OpenAI.</summary>
/// <param name="endpoint">The server.</param>
/// <param name="calls">Retries, timeout and counts.</param>
/// <param name="words">Reads an error body: the server's own words, null for none.</param>
/// <param name="hint">What would be right where a status says no; empty for nothing in particular.</param>
internal sealed class ImageServer(EndpointSettings endpoint, ModelCalls calls, Func<JsonElement, string?> words, Func<int, string> hint) : IDisposable
{
    private readonly HttpClient _http = ModelCalls.CreateHttpClient();

    public void Dispose() => _http.Dispose();

    /// <summary>Gets what is at a path below the server's URL, repeating as <see cref="ModelCalls"/> does.</summary>
    public Task<byte[]> GetAsync(string path, CancellationToken cancel) => calls.RunAsync(token => SendAsync(HttpMethod.Get, path, null, token), cancel);

    /// <summary>Posts JSON, repeating likewise.</summary>
    public Task<byte[]> PostAsync(string path, JsonNode body, CancellationToken cancel) => calls.RunAsync(token => SendAsync(HttpMethod.Post, path, body, token), cancel);

    /// <summary>Posts JSON once.</summary>
    public Task<byte[]> PostOnceAsync(string path, JsonNode body, CancellationToken cancel) => calls.OnceAsync(token => SendAsync(HttpMethod.Post, path, body, token), cancel);

    /// <summary>Gets what is at a path once.</summary>
    public Task<byte[]> GetOnceAsync(string path, CancellationToken cancel) => calls.OnceAsync(token => SendAsync(HttpMethod.Get, path, null, token), cancel);

    /// <summary>What an answer says, or a refusal that names the field.</summary>
    /// <exception cref="ModelRejectedException">It is not JSON of the expected form.</exception>
    public T Read<T>(byte[] answer, string expected, Func<JsonElement, T> read)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            return read(document.RootElement);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw new ModelRejectedException($"{endpoint.Field}: {expected}", "", null, error);
        }
    }

    /// <summary>A text, or a <see cref="FormatException"/> for anything else.</summary>
    public static string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new FormatException($"{value.ValueKind} instead of a text");

    /// <summary>A key of the form user:password is for basic authentication (a bearer token has no colon: RFC 6750); any other is a bearer token.</summary>
    internal static AuthenticationHeaderValue? Authorization(string? key) => key switch
    {
        null => null,
        _ when key.Contains(':', StringComparison.Ordinal) => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(key))),
        _ => new("Bearer", key),
    };

    private async Task<byte[]> SendAsync(HttpMethod method, string path, JsonNode? body, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(method, new Uri(endpoint.Url, path));
        if (body is not null)
            request.Content = JsonContent.Create(body);
        request.Headers.Authorization = Authorization(endpoint.ApiKey);
        using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel).ConfigureAwait(false);
        var answer = await ModelAnswers.ReadAsync(response.Content, GeneratedImage.MaxBytes, cancel).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
            return answer ?? throw GeneratedImage.TooLarge();
        var status = (int)response.StatusCode;
        throw calls.ForStatusInWords(status, response.Headers.RetryAfter?.ToString(), hint(status), answer is null ? "" : Words(answer));
    }

    private string Words(byte[] answer)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            return document.RootElement.ValueKind == JsonValueKind.Object ? words(document.RootElement) ?? "" : "";
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // A proxy's page says nothing that helps here.
            return "";
        }
    }
}
