using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;

namespace Moebius.Operator.Runtime;

/// <summary>
/// The few requests that controllers make, over KubernetesClient's connection (TLS, credentials): paged lists, watches
/// that keep bookmarks, server-side apply, and status updates guarded by the resource version.
/// </summary>
internal sealed class ApiClient(Kubernetes kubernetes, OperatorMetrics metrics)
{
    private const int PageSize = 500;
    private static readonly ProductInfoHeaderValue UserAgent = new("moebius-operator", typeof(ApiClient).Assembly.GetName().Version?.ToString(3) ?? "0");

    public Task<JsonObject> GetAsync(string path, CancellationToken cancellationToken) => SendAsync<JsonObject>(HttpMethod.Get, path, null, null, cancellationToken);

    /// <summary>An object, or null when there is none.</summary>
    public async Task<T?> FindAsync<T>(ObjectKey key, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        try
        {
            return await SendAsync<T>(HttpMethod.Get, ResourceType.Of<T>().Item(key), null, null, cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>All objects, and the resource version to watch from.</summary>
    /// <param name="type">What to list.</param>
    /// <param name="namespace">Of one namespace; null: of all.</param>
    /// <param name="labelSelector">Only these; null: all.</param>
    /// <param name="read">Reads an object while its page is at hand: the text of no more than one page is held. Null is left out.</param>
    /// <param name="cancellationToken">Stops.</param>
    public async Task<(List<T> Items, string ResourceVersion)> ListAsync<T>(ResourceType type, string? @namespace, string? labelSelector, Func<JsonElement, T?> read, CancellationToken cancellationToken)
        where T : class
    {
        var items = new List<T>();
        string? page = null;
        while (true)
        {
            var query = $"?limit={PageSize}{Query("labelSelector", labelSelector)}{Query("continue", page)}";
            using var list = await SendAsync<JsonDocument>(HttpMethod.Get, type.Collection(@namespace) + query, null, null, cancellationToken).ConfigureAwait(false);
            if (list.RootElement.TryGetProperty("items", out var array) && array.ValueKind == JsonValueKind.Array)
                items.AddRange(array.EnumerateArray().Select(read).OfType<T>());
            var metadata = list.RootElement.TryGetProperty("metadata", out var found) ? found : default;
            page = Text(metadata, "continue");
            if (string.IsNullOrEmpty(page))
                return (items, Text(metadata, "resourceVersion") ?? "");
        }
    }

    /// <summary>Changes after a resource version, until the server ends the watch.</summary>
    /// <exception cref="ApiException">The server sent an error; <see cref="ApiException.IsExpired"/> asks for a new list.</exception>
    public async IAsyncEnumerable<WatchEvent> WatchAsync(
        ResourceType type,
        string? @namespace,
        string? labelSelector,
        string resourceVersion,
        TimeSpan duration,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var query = $"?watch=true&allowWatchBookmarks=true&timeoutSeconds={(int)duration.TotalSeconds}&resourceVersion={Uri.EscapeDataString(resourceVersion)}{Query("labelSelector", labelSelector)}";
        // A connection that died without a word ends shortly after the server should have ended it.
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(duration + TimeSpan.FromSeconds(15));
        using var response = await ExchangeAsync(HttpMethod.Get, type.Collection(@namespace) + query, null, null, patience.Token).ConfigureAwait(false);
        var pipe = PipeReader.Create(await response.Content.ReadAsStreamAsync(patience.Token).ConfigureAwait(false), new StreamPipeReaderOptions(bufferSize: 16 * 1024));
        ReadResult read;
        do
        {
            read = await pipe.ReadAsync(patience.Token).ConfigureAwait(false);
            var left = read.Buffer;
            while (NextLine(ref left, read.IsCompleted) is { } line)
            {
                if (line.IsEmpty)
                    continue;
                var change = WatchEvent.Parse(line);
                if (change.Type == "ERROR")
                    throw ApiException.From((JsonObject)JsonNode.Parse(change.Json.Span)!);
                yield return change;
            }

            pipe.AdvanceTo(left.Start, left.End);
        }
        while (!read.IsCompleted);
    }

    private static ReadOnlySequence<byte>? NextLine(ref ReadOnlySequence<byte> left, bool isLast)
    {
        if (left.PositionOf((byte)'\n') is { } end)
        {
            var line = left.Slice(0, end);
            left = left.Slice(left.GetPosition(1, end));
            return line;
        }

        if (!isLast || left.IsEmpty)
            return null;
        var rest = left;
        left = left.Slice(left.End);
        return rest;
    }

    /// <summary>Server-side apply.</summary>
    /// <param name="key">The object.</param>
    /// <param name="body">The fields to own.</param>
    /// <param name="force">Take fields from other managers.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public async Task<T> ApplyAsync<T>(ObjectKey key, JsonObject body, bool force, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        var path = $"{ResourceType.Of<T>().Item(key)}?fieldManager={Planning.Labels.Manager}{(force ? "&force=true" : "")}";
        return await SendAsync<T>(HttpMethod.Patch, path, body, "application/apply-patch+yaml", cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes an object's status; fails with 409 when the object has changed since it was read.</summary>
    public async Task<T> ReplaceStatusAsync<T>(T resource, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        var path = $"{ResourceType.Of<T>().Item(ObjectKey.Of(resource))}/status?fieldManager={Planning.Labels.Manager}";
        return await SendAsync<T>(HttpMethod.Put, path, WireJson.ToNode(resource), "application/json", cancellationToken).ConfigureAwait(false);
    }

    public Task<JsonObject> MergeAsync(string path, JsonObject patch, CancellationToken cancellationToken) =>
        SendAsync<JsonObject>(HttpMethod.Patch, $"{path}?fieldManager={Planning.Labels.Manager}", patch, "application/merge-patch+json", cancellationToken);

    /// <summary>Merges into an object that is there.</summary>
    public Task<T> MergeAsync<T>(T resource, JsonObject patch, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta> =>
        SendAsync<T>(HttpMethod.Patch, $"{ResourceType.Of<T>().Item(ObjectKey.Of(resource))}?fieldManager={Planning.Labels.Manager}", patch, "application/merge-patch+json", cancellationToken);

    public Task<JsonObject> CreateAsync(string path, JsonObject body, CancellationToken cancellationToken) => CreateAsync<JsonObject>(path, body, cancellationToken);

    /// <summary>Creates an object; fails with 409 when there is one of its name, and with 400 when it has fields that the server does not know (1.25 and later).</summary>
    public Task<T> CreateAsync<T>(string path, JsonObject body, CancellationToken cancellationToken)
        where T : class =>
        SendAsync<T>(HttpMethod.Post, $"{path}?fieldManager={Planning.Labels.Manager}&fieldValidation=Strict", body, "application/json", cancellationToken);

    /// <summary>Deletes exactly the object that was seen; what is gone already is fine.</summary>
    public async Task DeleteAsync<T>(T resource, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        var options = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "DeleteOptions",
            ["propagationPolicy"] = "Background",
            ["preconditions"] = new JsonObject { ["uid"] = resource.Metadata.Uid },
        };
        try
        {
            await SendAsync<JsonObject>(HttpMethod.Delete, ResourceType.Of<T>().Item(ObjectKey.Of(resource)), options, "application/json", cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Conflict)
        {
            // Gone, or another object of the same name.
        }
    }

    /// <summary>A text of an object; null when it has none.</summary>
    internal static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string Query(string name, string? value) => string.IsNullOrEmpty(value) ? "" : $"&{name}={Uri.EscapeDataString(value)}";

    private async Task<T> SendAsync<T>(HttpMethod method, string path, JsonObject? body, string? contentType, CancellationToken cancellationToken)
        where T : class
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        var work = WorkMeter.Pause();
        try
        {
            using var response = await ExchangeAsync(method, path, body, contentType, patience.Token).ConfigureAwait(false);
            var stream = await response.Content.ReadAsStreamAsync(patience.Token).ConfigureAwait(false);
            return await JsonSerializer.DeserializeAsync<T>(stream, WireJson.Options, patience.Token).ConfigureAwait(false) ?? throw new JsonException("the API server did not answer with an object");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"{method} {path}: no answer within 60 s");
        }
        finally
        {
            work?.Resume();
        }
    }

    private async Task<HttpResponseMessage> ExchangeAsync(HttpMethod method, string path, JsonObject? body, string? contentType, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, new Uri(kubernetes.BaseUri, path));
        request.Headers.UserAgent.Add(UserAgent);
        request.Headers.Accept.ParseAdd("application/json");
        if (body is not null)
            request.Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body, WireJson.Options)) { Headers = { ContentType = MediaTypeHeaderValue.Parse(contentType!) } };
        if (kubernetes.Credentials is { } credentials)
            await credentials.ProcessHttpRequestAsync(request, cancellationToken).ConfigureAwait(false);

        var response = await kubernetes.HttpClient.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        metrics.ApiRequests.WithLabels(method.Method, ((int)response.StatusCode).ToString(System.Globalization.CultureInfo.InvariantCulture)).Inc();
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw ApiException.From(response.StatusCode, await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false));
    }
}
