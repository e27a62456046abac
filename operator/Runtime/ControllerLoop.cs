using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;

namespace Moebius.Operator.Runtime;

/// <summary>A controller with its queue, as the host sees it.</summary>
internal interface IControllerLoop
{
    /// <summary>Name of the controller.</summary>
    string Name { get; }

    /// <summary>Asks for a look at an object.</summary>
    void Enqueue(ObjectKey key);

    /// <summary>Asks for a look at every object.</summary>
    void EnqueueAll();

    /// <summary>Works until stopped; what is under way is finished first.</summary>
    Task RunAsync(int workers, CancellationToken cancellationToken);
}

/// <summary>Takes objects from the queue, hands them to the controller, and acts on what it answers.</summary>
internal sealed class ControllerLoop<T> : IControllerLoop, IDisposable
    where T : class, IKubernetesObject<V1ObjectMeta>
{
    private readonly SharedCache<T> _cache;
    private readonly IEntityController<T> _controller;
    private readonly (string Name, IEntityFinalizer<T> Finalizer)? _finalizer;
    private readonly ApiClient _api;
    private readonly OperatorMetrics _metrics;
    private readonly ILogger _logger;
    private readonly WorkGap _gap;
    private readonly WorkQueue<ObjectKey> _queue;
    private readonly Dictionary<ObjectKey, T> _gone = [];

    public ControllerLoop(
        string name,
        SharedCache<T> cache,
        IEntityController<T> controller,
        (string Name, IEntityFinalizer<T> Finalizer)? finalizer,
        ApiClient api,
        TimeProvider time,
        OperatorMetrics metrics,
        WorkGap gap,
        ILogger logger)
    {
        Name = name;
        _cache = cache;
        _controller = controller;
        _finalizer = finalizer;
        _api = api;
        _metrics = metrics;
        _gap = gap;
        _logger = logger;
        _queue = new WorkQueue<ObjectKey>(name, Backoff.PerObject(), time, metrics);
        cache.Changed += OnChanged;
    }

    /// <inheritdoc />
    public string Name { get; }

    /// <inheritdoc />
    public void Enqueue(ObjectKey key) => _queue.Add(key);

    /// <inheritdoc />
    public void EnqueueAll()
    {
        foreach (var resource in _cache.List())
            _queue.Add(ObjectKey.Of(resource));
    }

    /// <inheritdoc />
    public async Task RunAsync(int workers, CancellationToken cancellationToken) =>
        await Task.WhenAll(Enumerable.Range(0, workers).Select(_ => WorkAsync(cancellationToken))).ConfigureAwait(false);

    /// <inheritdoc />
    public void Dispose()
    {
        _cache.Changed -= OnChanged;
        _queue.Dispose();
    }

    private void OnChanged(T? before, T? after)
    {
        if (after is null && before is not null)
        {
            lock (_gone)
                _gone[ObjectKey.Of(before)] = before;
        }

        _queue.Add(ObjectKey.Of((after ?? before)!));
    }

    private async Task WorkAsync(CancellationToken cancellationToken)
    {
        // Work off the caller's thread: a long queue must not keep others from starting.
        await Task.Yield();
        while (!cancellationToken.IsCancellationRequested)
        {
            ObjectKey key;
            try
            {
                (var taken, key) = await _queue.TakeAsync(cancellationToken).ConfigureAwait(false);
                if (!taken)
                    return;
            }
            catch (OperationCanceledException)
            {
                return;
            }

            try
            {
                await HandleAsync(key, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                _queue.Done(key);
            }
        }
    }

    private async Task HandleAsync(ObjectKey key, CancellationToken cancellationToken)
    {
        var since = Stopwatch.GetTimestamp();
        var work = WorkMeter.Start(_gap);
        try
        {
            var result = await DispatchAsync(key, cancellationToken).ConfigureAwait(false);
            if (result is { IsSuccess: false, Error: null, RequeueAfter: { } again })
            {
                // A finalizer that waits for somebody else, or a pause before a rival is answered: nothing has failed.
                _logger.LogInformation("{Controller} {Key}: {Reason}; looking again in {Delay:0.0} s", Name, key, result.ErrorMessage, again.TotalSeconds);
                _metrics.Reconciliations.WithLabels(Name, "waiting").Inc();
                _queue.AddAfter(key, again);
                return;
            }

            if (result is { IsSuccess: false })
            {
                Retry(key, result.ErrorMessage ?? "no reason given", result.Error);
                return;
            }

            _queue.Forget(key);
            _metrics.Reconciliations.WithLabels(Name, "success").Inc();
            if (result?.RequeueAfter is { } delay && delay > TimeSpan.Zero)
                _queue.AddAfter(key, delay);
            else if (result?.RequeueAfter is not null)
                _queue.AddLast(key);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stopping, or no longer leading: whoever leads next looks at everything.
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.Conflict)
        {
            // The cache was behind; the change it was behind by is on its way.
            _logger.LogDebug("{Controller} {Key}: {Error}", Name, key, error.Message);
            _metrics.Reconciliations.WithLabels(Name, "conflict").Inc();
            _queue.AddRateLimited(key);
        }
        catch (Exception error) when (error is ApiException or HttpRequestException or IOException or TimeoutException or System.Text.Json.JsonException)
        {
            Retry(key, error.Message, null);
        }
#pragma warning disable CA1031 // One object that breaks the program's assumptions must not stop the others.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Retry(key, error.Message, error);
        }
        finally
        {
            work.Stop();
            _metrics.ReconcileSeconds.WithLabels(Name).Observe(Stopwatch.GetElapsedTime(since).TotalSeconds);
            _metrics.ComputeSeconds.WithLabels(Name).Observe(work.Elapsed.TotalSeconds);
            _metrics.ProcessorSeconds.WithLabels(Name).Observe(work.Processor.TotalSeconds);
        }
    }

    private void Retry(ObjectKey key, string message, Exception? error)
    {
        _metrics.Reconciliations.WithLabels(Name, "error").Inc();
        var delay = _queue.AddRateLimited(key);
        _logger.LogWarning(error, "{Controller} {Key}: {Error}; trying again in {Delay:0.0} s", Name, key, message, delay.TotalSeconds);
    }

    private async Task<ReconciliationResult<T>?> DispatchAsync(ObjectKey key, CancellationToken cancellationToken)
    {
        var resource = _cache.Find(key);
        if (resource is null)
        {
            T? last;
            lock (_gone)
                _gone.Remove(key, out last);
            return last is null ? null : await _controller.DeletedAsync(last, cancellationToken).ConfigureAwait(false);
        }

        if (resource.Metadata.DeletionTimestamp is not null)
            return await FinalizeAsync(resource, cancellationToken).ConfigureAwait(false);
        if (_finalizer is var (name, _) && resource.Metadata.Finalizers?.Contains(name) != true)
            resource = await SetFinalizersAsync(resource, [.. resource.Metadata.Finalizers ?? [], name], cancellationToken).ConfigureAwait(false);
        return await _controller.ReconcileAsync(resource, cancellationToken).ConfigureAwait(false);
    }

    private async Task<ReconciliationResult<T>?> FinalizeAsync(T resource, CancellationToken cancellationToken)
    {
        if (_finalizer is not var (name, last) || resource.Metadata.Finalizers?.Contains(name) != true)
            return null;
        var result = await last.FinalizeAsync(resource, cancellationToken).ConfigureAwait(false);
        if (!result.IsSuccess)
            return result;
        try
        {
            await SetFinalizersAsync(resource, [.. resource.Metadata.Finalizers.Where(other => other != name)], cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            // It has gone, and the word of that is on its way: the last one who held it was this one, a moment ago.
        }

        return result;
    }

    private async Task<T> SetFinalizersAsync(T resource, IReadOnlyList<string> finalizers, CancellationToken cancellationToken)
    {
        var patch = new JsonObject
        {
            ["metadata"] = new JsonObject
            {
                ["resourceVersion"] = resource.Metadata.ResourceVersion,
                ["finalizers"] = new JsonArray([.. finalizers.Select(one => JsonValue.Create(one))]),
            },
        };
        var answer = resource;
        await _cache.WriteAsync(ObjectKey.Of(resource), async () =>
        {
            answer = await _api.MergeAsync(resource, patch, cancellationToken).ConfigureAwait(false);
            return answer.Metadata.DeletionTimestamp is null ? answer : null;
        }).ConfigureAwait(false);
        return answer;
    }
}
