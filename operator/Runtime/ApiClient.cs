using System.Diagnostics;
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

    /// <summary>Ticks that requests of this flow of control have taken; set by who wants to know.</summary>
    internal static AsyncLocal<StrongBox<long>?> Waited { get; } = new();

    public Task<JsonObject> GetAsync(string path, CancellationToken cancellationToken) => SendAsync(HttpMethod.Get, path, null, null, cancellationToken);

    /// <summary>An object, or null when there is none.</summary>
    public async Task<T?> FindAsync<T>(ObjectKey key, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        try
        {
            return Read<T>(await GetAsync(ResourceType.Of<T>().Item(key), cancellationToken).ConfigureAwait(false));
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>All objects, as they arrive, and the resource version to watch from.</summary>
    public async Task<(List<JsonObject> Items, string ResourceVersion)> ListAsync(ResourceType type, string? @namespace, string? labelSelector, CancellationToken cancellationToken)
    {
        var items = new List<JsonObject>();
        string? page = null;
        while (true)
        {
            var query = $"?limit={PageSize}{Query("labelSelector", labelSelector)}{Query("continue", page)}";
            var list = await GetAsync(type.Collection(@namespace) + query, cancellationToken).ConfigureAwait(false);
            items.AddRange((list["items"] as JsonArray ?? []).OfType<JsonObject>());
            page = (string?)list["metadata"]?["continue"];
            if (string.IsNullOrEmpty(page))
                return (items, (string?)list["metadata"]?["resourceVersion"] ?? "");
        }
    }

    /// <summary>Changes after a resource version, until the server ends the watch.</summary>
    /// <exception cref="ApiException">The server sent an error; <see cref="ApiException.IsExpired"/> asks for a new list.</exception>
    public async IAsyncEnumerable<(string Type, JsonObject Object)> WatchAsync(
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
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(patience.Token).ConfigureAwait(false));
        while (await reader.ReadLineAsync(patience.Token).ConfigureAwait(false) is { } line)
        {
            if (line.Length == 0)
                continue;
            var change = JsonNode.Parse(line) as JsonObject;
            if (change?["object"] is not JsonObject value || (string?)change["type"] is not { } kind)
                throw new JsonException("a watch event without type or object");
            if (kind == "ERROR")
                throw ApiException.From((HttpStatusCode)((int?)value["code"] ?? 500), value);
            yield return (kind, value);
        }
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
        return Read<T>(await SendAsync(HttpMethod.Patch, path, body, "application/apply-patch+yaml", cancellationToken).ConfigureAwait(false));
    }

    /// <summary>Writes an object's status; fails with 409 when the object has changed since it was read.</summary>
    public async Task<T> ReplaceStatusAsync<T>(T resource, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        var path = $"{ResourceType.Of<T>().Item(ObjectKey.Of(resource))}/status?fieldManager={Planning.Labels.Manager}";
        return Read<T>(await SendAsync(HttpMethod.Put, path, WireJson.ToNode(resource), "application/json", cancellationToken).ConfigureAwait(false));
    }

    public Task<JsonObject> MergeAsync(string path, JsonObject patch, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Patch, $"{path}?fieldManager={Planning.Labels.Manager}", patch, "application/merge-patch+json", cancellationToken);

    public Task<JsonObject> CreateAsync(string path, JsonObject body, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, $"{path}?fieldManager={Planning.Labels.Manager}", body, "application/json", cancellationToken);

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
            await SendAsync(HttpMethod.Delete, ResourceType.Of<T>().Item(ObjectKey.Of(resource)), options, "application/json", cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Conflict)
        {
            // Gone, or another object of the same name.
        }
    }

    /// <summary>An object without the list of who manages which field: it is long, and nobody here asks for it.</summary>
    public static T Read<T>(JsonObject node)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        (node["metadata"] as JsonObject)?.Remove("managedFields");
        return node.Deserialize<T>(WireJson.Options) ?? throw new JsonException($"no {typeof(T).Name}");
    }

    private static string Query(string name, string? value) => string.IsNullOrEmpty(value) ? "" : $"&{name}={Uri.EscapeDataString(value)}";

    private async Task<JsonObject> SendAsync(HttpMethod method, string path, JsonObject? body, string? contentType, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        var since = Stopwatch.GetTimestamp();
        try
        {
            using var response = await ExchangeAsync(method, path, body, contentType, patience.Token).ConfigureAwait(false);
            var stream = await response.Content.ReadAsStreamAsync(patience.Token).ConfigureAwait(false);
            return await JsonNode.ParseAsync(stream, cancellationToken: patience.Token).ConfigureAwait(false) as JsonObject ?? throw new JsonException("the API server did not answer with an object");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"{method} {path}: no answer within 60 s");
        }
        finally
        {
            if (Waited.Value is { } waited)
                Interlocked.Add(ref waited.Value, Stopwatch.GetTimestamp() - since);
        }
    }

    private async Task<HttpResponseMessage> ExchangeAsync(HttpMethod method, string path, JsonObject? body, string? contentType, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, new Uri(kubernetes.BaseUri, path));
        request.Headers.UserAgent.Add(UserAgent);
        request.Headers.Accept.ParseAdd("application/json");
        if (body is not null)
            request.Content = new StringContent(body.ToJsonString(WireJson.Options), MediaTypeHeaderValue.Parse(contentType!));
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
