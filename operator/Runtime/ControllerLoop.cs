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
    private readonly SharedCache<T> cache;
    private readonly IEntityController<T> controller;
    private readonly (string Name, IEntityFinalizer<T> Finalizer)? finalizer;
    private readonly ApiClient api;
    private readonly OperatorMetrics metrics;
    private readonly ILogger logger;
    private readonly WorkGap gap;
    private readonly WorkQueue<ObjectKey> queue;
    private readonly Dictionary<ObjectKey, T> gone = [];

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
        this.cache = cache;
        this.controller = controller;
        this.finalizer = finalizer;
        this.api = api;
        this.metrics = metrics;
        this.gap = gap;
        this.logger = logger;
        queue = new WorkQueue<ObjectKey>(name, Backoff.PerObject(), time, metrics);
        cache.Changed += OnChanged;
    }

    /// <inheritdoc />
    public string Name { get; }

    /// <inheritdoc />
    public void Enqueue(ObjectKey key) => queue.Add(key);

    /// <inheritdoc />
    public void EnqueueAll()
    {
        foreach (var resource in cache.List())
            queue.Add(ObjectKey.Of(resource));
    }

    /// <inheritdoc />
    public async Task RunAsync(int workers, CancellationToken cancellationToken) =>
        await Task.WhenAll(Enumerable.Range(0, workers).Select(_ => WorkAsync(cancellationToken))).ConfigureAwait(false);

    /// <inheritdoc />
    public void Dispose()
    {
        cache.Changed -= OnChanged;
        queue.Dispose();
    }

    private void OnChanged(T? before, T? after)
    {
        if (after is null && before is not null)
        {
            lock (gone)
                gone[ObjectKey.Of(before)] = before;
        }

        queue.Add(ObjectKey.Of((after ?? before)!));
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
                (var taken, key) = await queue.TakeAsync(cancellationToken).ConfigureAwait(false);
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
                queue.Done(key);
            }
        }
    }

    private async Task HandleAsync(ObjectKey key, CancellationToken cancellationToken)
    {
        var since = Stopwatch.GetTimestamp();
        var work = WorkMeter.Start(gap);
        try
        {
            var result = await DispatchAsync(key, cancellationToken).ConfigureAwait(false);
            if (result is { IsSuccess: false, Error: null, RequeueAfter: { } again })
            {
                // A finalizer that waits for somebody else: nothing has failed.
                logger.LogInformation("{Controller} {Key}: {Reason}; looking again in {Delay:0.0} s", Name, key, result.ErrorMessage, again.TotalSeconds);
                metrics.Reconciliations.WithLabels(Name, "waiting").Inc();
                queue.AddAfter(key, again);
                return;
            }

            if (result is { IsSuccess: false })
            {
                Retry(key, result.ErrorMessage ?? "no reason given", result.Error);
                return;
            }

            queue.Forget(key);
            metrics.Reconciliations.WithLabels(Name, "success").Inc();
            if (result?.RequeueAfter is { } delay && delay > TimeSpan.Zero)
                queue.AddAfter(key, delay);
            else if (result?.RequeueAfter is not null)
                queue.AddLast(key);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stopping, or no longer leading: whoever leads next looks at everything.
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.Conflict)
        {
            // The cache was behind; the change it was behind by is on its way.
            logger.LogDebug("{Controller} {Key}: {Error}", Name, key, error.Message);
            metrics.Reconciliations.WithLabels(Name, "conflict").Inc();
            queue.AddRateLimited(key);
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
            metrics.ReconcileSeconds.WithLabels(Name).Observe(Stopwatch.GetElapsedTime(since).TotalSeconds);
            metrics.ComputeSeconds.WithLabels(Name).Observe(work.Elapsed.TotalSeconds);
            metrics.ProcessorSeconds.WithLabels(Name).Observe(work.Processor.TotalSeconds);
        }
    }

    private void Retry(ObjectKey key, string message, Exception? error)
    {
        metrics.Reconciliations.WithLabels(Name, "error").Inc();
        var delay = queue.AddRateLimited(key);
        logger.LogWarning(error, "{Controller} {Key}: {Error}; trying again in {Delay:0.0} s", Name, key, message, delay.TotalSeconds);
    }

    private async Task<ReconciliationResult<T>?> DispatchAsync(ObjectKey key, CancellationToken cancellationToken)
    {
        var resource = cache.Find(key);
        if (resource is null)
        {
            T? last;
            lock (gone)
                gone.Remove(key, out last);
            return last is null ? null : await controller.DeletedAsync(last, cancellationToken).ConfigureAwait(false);
        }

        if (resource.Metadata.DeletionTimestamp is not null)
            return await FinalizeAsync(resource, cancellationToken).ConfigureAwait(false);
        if (finalizer is var (name, _) && resource.Metadata.Finalizers?.Contains(name) != true)
            resource = await SetFinalizersAsync(resource, [.. resource.Metadata.Finalizers ?? [], name], cancellationToken).ConfigureAwait(false);
        return await controller.ReconcileAsync(resource, cancellationToken).ConfigureAwait(false);
    }

    private async Task<ReconciliationResult<T>?> FinalizeAsync(T resource, CancellationToken cancellationToken)
    {
        if (finalizer is not var (name, last) || resource.Metadata.Finalizers?.Contains(name) != true)
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
        await cache.WriteAsync(ObjectKey.Of(resource), async () =>
        {
            answer = await api.MergeAsync(resource, patch, cancellationToken).ConfigureAwait(false);
            return answer.Metadata.DeletionTimestamp is null ? answer : null;
        }).ConfigureAwait(false);
        return answer;
    }
}
