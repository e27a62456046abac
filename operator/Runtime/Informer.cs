using System.Text.Json;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;

namespace Moebius.Operator.Runtime;

/// <summary>Something that keeps a cache up to date until it is stopped.</summary>
internal interface IInformer
{
    /// <summary>Plural name of the resource.</summary>
    string Resource { get; }

    /// <summary>Completes when the cache holds everything there was.</summary>
    Task Synced { get; }

    /// <summary>Lists and watches until stopped.</summary>
    Task RunAsync(CancellationToken cancellationToken);

    /// <summary>Forgets all objects, because the server does not serve their kind any more.</summary>
    void Forget();
}

/// <summary>
/// Lists once, then watches from there; resumes a watch that ended where it stopped, and lists again only when the
/// server has forgotten that point (410 Gone).
/// </summary>
/// <param name="api">Asks the server.</param>
/// <param name="namespace">Of one namespace; null: of all.</param>
/// <param name="labelSelector">Only these; null: all.</param>
/// <param name="time">For pauses.</param>
/// <param name="metrics">Counts.</param>
/// <param name="logger">Tells what went wrong.</param>
/// <param name="indexer">A value to find objects by within their namespace.</param>
/// <param name="trim">Takes away what nobody asks for, before an object is kept.</param>
internal sealed class Informer<T>(
    ApiClient api,
    string? @namespace,
    string? labelSelector,
    TimeProvider time,
    OperatorMetrics metrics,
    ILogger logger,
    Func<T, string?>? indexer = null,
    Action<T>? trim = null) : IInformer
    where T : class, IKubernetesObject<V1ObjectMeta>
{
    private readonly TaskCompletionSource _synced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ResourceType _type = ResourceType.Of<T>();
    private readonly Backoff _backoff = Backoff.PerWatch();

    public SharedCache<T> Cache { get; } = new(indexer);

    /// <inheritdoc />
    public string Resource => _type.Plural;

    /// <inheritdoc />
    public Task Synced => _synced.Task;

    /// <inheritdoc />
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        string? resourceVersion = null;
        var failures = 0;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                resourceVersion ??= await ListAsync(cancellationToken).ConfigureAwait(false);
                // Watches of all informers, and of all replicas, must not end together.
                var duration = TimeSpan.FromSeconds(300 + Random.Shared.Next(300));
                await foreach (var change in api.WatchAsync(_type, @namespace, labelSelector, resourceVersion, duration, cancellationToken).ConfigureAwait(false))
                {
                    failures = 0;
                    resourceVersion = change.ResourceVersion ?? resourceVersion;
                    Take(change);
                }
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (ApiException error) when (error.IsExpired)
            {
                metrics.Relists.WithLabels(Resource).Inc();
                logger.LogInformation("Listing {Resource} again: the watch cannot go on from {ResourceVersion}", Resource, resourceVersion);
                resourceVersion = null;
                // Twice in a row is a server in trouble, not an old watch.
                if (failures++ > 0)
                    await WaitAsync(failures, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error) when (error is ApiException or HttpRequestException or IOException or JsonException or TimeoutException or OperationCanceledException)
            {
                metrics.WatchErrors.WithLabels(Resource).Inc();
                failures++;
                logger.Log(failures > 1 ? LogLevel.Warning : LogLevel.Debug, "Watching {Resource} failed {Failures} times in a row: {Error}", Resource, failures, error.Message);
                await WaitAsync(failures, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc />
    public void Forget()
    {
        Cache.Replace([], "");
        metrics.CachedObjects.WithLabels(Resource).Set(0);
    }

    private async Task<string> ListAsync(CancellationToken cancellationToken)
    {
        var (items, resourceVersion) = await api.ListAsync(_type, @namespace, labelSelector, Read, cancellationToken).ConfigureAwait(false);
        Cache.Replace(items, resourceVersion);
        metrics.CachedObjects.WithLabels(Resource).Set(Cache.Count);
        _synced.TrySetResult();
        return resourceVersion;
    }

    private void Take(WatchEvent change)
    {
        if (change.Type == "BOOKMARK" || (change.Type != "DELETED" && Cache.Knows(change.Key, change.ResourceVersion)))
            return;
        if (Read(change.Key, () => JsonSerializer.Deserialize<T>(change.Json.Span, WireJson.Options)) is not { } resource)
            return;
        if (change.Type == "DELETED")
            Cache.Remove(resource);
        else
            Cache.Set(resource);
        metrics.CachedObjects.WithLabels(Resource).Set(Cache.Count);
    }

    private T? Read(JsonElement item)
    {
        var metadata = item.ValueKind == JsonValueKind.Object && item.TryGetProperty("metadata", out var found) ? found : default;
        return Read(new ObjectKey(ApiClient.Text(metadata, "namespace"), ApiClient.Text(metadata, "name") ?? ""), () => item.Deserialize<T>(WireJson.Options));
    }

    private T? Read(ObjectKey key, Func<T?> read)
    {
        try
        {
            if (read() is not { } resource)
                return null;
            trim?.Invoke(resource);
            // Items of a list do not say what they are.
            resource.ApiVersion ??= _type.ApiVersion;
            resource.Kind ??= _type.Kind;
            return resource;
        }
        catch (JsonException error)
        {
            logger.LogError("{Kind} {Key} cannot be read and is ignored: {Error}", _type.Kind, key, error.Message);
            return null;
        }
    }

    private async Task WaitAsync(int failures, CancellationToken cancellationToken)
    {
        try
        {
            await Task.Delay(_backoff.Delay(failures), time, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The loop ends.
        }
    }
}
