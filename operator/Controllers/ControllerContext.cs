using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>What every controller works with.</summary>
internal sealed class ControllerContext(
    OperatorSettings settings,
    ApiClient api,
    Informers informers,
    ChildApplier children,
    EventRecorder events,
    OperatorMetrics metrics,
    PodReports pods,
    TimeProvider time)
{
    private readonly ConcurrentDictionary<(Type Kind, ObjectKey Key), (string? Uid, long? Generation)> _advised = [];

    /// <summary>Resources whose advice is remembered.</summary>
    internal int Advised => _advised.Count;

    public OperatorSettings Settings { get; } = settings;

    public ApiClient Api { get; } = api;

    public Informers Informers { get; } = informers;

    public ChildApplier Children { get; } = children;

    /// <summary>What pods say of themselves.</summary>
    public PodReports Reports { get; } = pods;

    public TimeProvider Time { get; } = time;

    /// <summary>Where what is no condition is told.</summary>
    public ILogger Log { get; init; } = NullLogger.Instance;

    /// <summary>What the API server can do; replaced when that changes.</summary>
    public ServerCapabilities Server { get; set; } = new(new Version(0, 0), []);

    /// <summary>
    /// An object that another one refers to. Each kind is watched apart, so one that the cache lacks may only be late:
    /// the server is asked before anybody is told that it is missing.
    /// </summary>
    public async Task<T?> ReferredAsync<T>(SharedCache<T> cache, string? @namespace, LocalReference? reference, CancellationToken cancellationToken)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        if (reference?.Name is not { Length: > 0 } name)
            return null;
        var key = new ObjectKey(@namespace, name);
        return cache.Find(key) ?? await Api.FindAsync<T>(key, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Runs a planner, and measures it.</summary>
    public T Plan<T>(string controller, Func<T> planner)
    {
        var since = Stopwatch.GetTimestamp();
        var result = planner();
        metrics.PlanSeconds.WithLabels(controller).Observe(Stopwatch.GetElapsedTime(since).TotalSeconds);
        return result;
    }

    /// <summary>A plan, which is not carried out while its resource is paused, but compared with what there is.</summary>
    public Plan UnlessPaused(IKubernetesObject<V1ObjectMeta> resource, Plan plan)
    {
        plan = plan.UnlessPaused(resource);
        return plan.IsPaused ? plan with { Behind = Children.Behind(resource, plan) } : plan;
    }

    /// <summary>Pods of a resource.</summary>
    public IReadOnlyList<V1Pod> Pods(string component, string instance, string @namespace) => Informers.Pods.Cache.Indexed(@namespace, $"{component}/{instance}");

    /// <summary>
    /// Writes a status if it is not what is there, then reports transitions. The write carries the resource version of
    /// what was seen, so a stale or deposed writer fails instead of overwriting.
    /// </summary>
    public async Task WriteStatusAsync<TEntity, TStatus>(
        TEntity resource,
        SharedCache<TEntity> cache,
        TStatus? before,
        TStatus after,
        Func<TEntity, TStatus, TEntity> with,
        Func<TStatus?, IEnumerable<V1Condition>?> conditions,
        CancellationToken cancellationToken)
        where TEntity : class, IKubernetesObject<V1ObjectMeta>
        where TStatus : class
    {
        if (before is not null && JsonNode.DeepEquals(WireJson.ToNode(before), WireJson.ToNode(after)))
            return;
        await cache.WriteAsync(ObjectKey.Of(resource), async () => await Api.ReplaceStatusAsync(with(resource, after), cancellationToken).ConfigureAwait(false)).ConfigureAwait(false);
        events.Transitions(resource, conditions(before), conditions(after));
    }

    /// <summary>Logs what the author of a resource should know, once for each of its generations.</summary>
    public void Advise(IKubernetesObject<V1ObjectMeta> resource)
    {
        var (key, seen) = ((resource.GetType(), ObjectKey.Of(resource)), (resource.Metadata.Uid, resource.Metadata.Generation));
        if (_advised.TryGetValue(key, out var before) && before == seen)
            return;
        _advised[key] = seen;
        foreach (var advice in Advice.Of(resource))
            Log.LogWarning("{Kind} {Key}: {Advice}", resource.Kind ?? resource.GetType().Name, ObjectKey.Of(resource), advice);
    }

    /// <summary>Nothing has to be remembered of a resource that is gone.</summary>
    public void Forget(IKubernetesObject<V1ObjectMeta> resource) => _advised.TryRemove((resource.GetType(), ObjectKey.Of(resource)), out _);

    /// <summary>Reports what no condition can tell any more.</summary>
    public void Warn(IKubernetesObject<V1ObjectMeta> about, string reason, string message) => events.Warn(about, reason, message);

    /// <summary>A failure when something needs another try, success otherwise.</summary>
    public static ReconciliationResult<T> Result<T>(T resource, IReadOnlyList<Problem> applying)
        where T : IKubernetesObject<V1ObjectMeta> =>
        // Nothing tells when a rival lets go of a field or a quota grows.
        applying is [var first, ..]
            ? ReconciliationResult<T>.Failure(resource, first.Message, requeueAfter: applying.All(problem => problem.Again is not null) ? applying.Min(problem => problem.Again) : null)
            : ReconciliationResult<T>.Success(resource);
}
