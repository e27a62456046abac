using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.PromptOptimizers;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>The HTTP API of the prompt-optimization service.</summary>
internal sealed class PromptService(HttpClient http)
{
    /// <summary>A job is told with every round; no more than this is believed of a service.</summary>
    private const int LargestAnswer = 8 << 20;

    private static readonly JsonSerializerOptions Strict = new(WireJson.Options) { RespectNullableAnnotations = true };

    /// <summary>A client whose answers cannot fill the operator's memory.</summary>
    public static HttpClient Client(HttpMessageHandler handler) => new(handler, disposeHandler: false) { Timeout = TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = LargestAnswer };

    /// <summary>Hands a prompt in; the same key gives the same job.</summary>
    public Task<ServiceJob> CreateAsync(Uri address, string key, string prompt, PromptOptimizationJobSpec spec, CancellationToken cancellationToken)
    {
        var body = new JsonObject { ["idempotencyKey"] = key, ["prompt"] = prompt };
        if (spec.Dialects is { Count: > 0 } dialects)
            body["dialects"] = new JsonArray([.. dialects.Select(dialect => JsonValue.Create(dialect.ToString()))]);
        if (spec.Budget is { } budget)
            body["budget"] = WireJson.ToNode(budget);
        return SendAsync<ServiceJob>(HttpMethod.Post, new Uri(address, "/v1/jobs"), body, cancellationToken);
    }

    public Task<ServiceJob> GetAsync(Uri address, string id, CancellationToken cancellationToken) =>
        SendAsync<ServiceJob>(HttpMethod.Get, Job(address, id), null, cancellationToken);

    /// <summary>The id of the job that was handed in with a key; null: there is none.</summary>
    public async Task<string?> FindAsync(Uri address, string key, CancellationToken cancellationToken) =>
        (await SendAsync<ServiceJobs>(HttpMethod.Get, new Uri(address, $"/v1/jobs?idempotencyKey={Uri.EscapeDataString(key)}"), null, cancellationToken).ConfigureAwait(false)).Items.FirstOrDefault()?.Id;

    /// <summary>Removes a job and its prompt for good. One that has not ended is cancelled, and removed by a later call.</summary>
    /// <returns>Whether it is gone.</returns>
    public async Task<bool> PurgeAsync(Uri address, string id, CancellationToken cancellationToken)
    {
        var job = Job(address, id);
        try
        {
            await SendAsync<ServiceJob?>(HttpMethod.Delete, new Uri(job + "?purge=true"), null, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (PromptServiceException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            return true;
        }
        catch (PromptServiceException error) when (error.StatusCode == HttpStatusCode.Conflict)
        {
            await SendAsync<ServiceJob>(HttpMethod.Delete, job, null, cancellationToken).ConfigureAwait(false);
            return false;
        }
    }

    private static Uri Job(Uri address, string id) => new(address, $"/v1/jobs/{Uri.EscapeDataString(id)}");

    private async Task<T> SendAsync<T>(HttpMethod method, Uri url, JsonObject? body, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, url) { Content = body is null ? null : JsonContent.Create(body) };
        var work = WorkMeter.Pause();
        try
        {
            using var response = await http.SendAsync(request, cancellationToken).ConfigureAwait(false);
            return Read<T>(response, await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false));
        }
        finally
        {
            work?.Resume();
        }
    }

    private static string? Text(JsonObject? problem, string field) => problem?[field] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static T Read<T>(HttpResponseMessage response, string text)
    {
        try
        {
            if (response.IsSuccessStatusCode)
                return response.StatusCode == HttpStatusCode.NoContent ? default! : JsonSerializer.Deserialize<T>(text, Strict) ?? throw new JsonException("empty");
            var problem = JsonNode.Parse(text) as JsonObject;
            throw new PromptServiceException(response.StatusCode, Text(problem, "detail") ?? Text(problem, "title") ?? response.StatusCode.ToString());
        }
        catch (JsonException error)
        {
            throw new PromptServiceException(response.StatusCode, $"{(int)response.StatusCode}: the answer is not what a prompt optimizer says: {error.Message}");
        }
    }
}

/// <summary>The service answered with an error.</summary>
internal sealed class PromptServiceException(HttpStatusCode statusCode, string message) : Exception(message)
{
    public HttpStatusCode StatusCode { get; } = statusCode;
}
