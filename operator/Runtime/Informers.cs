using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.External;

namespace Moebius.Operator.Runtime;

/// <summary>Everything the operator watches. Of built-in types only the objects that it has made itself.</summary>
internal sealed class Informers(ApiClient api, string? @namespace, TimeProvider time, OperatorMetrics metrics, ILoggerFactory loggers)
{
    private const string Own = $"{Labels.ManagedBy}={Labels.Manager}";

    private readonly Dictionary<IInformer, (Task Task, CancellationTokenSource Stop)> _running = [];

    public Informer<MoEDeployment> MoEDeployments { get; } = New<MoEDeployment>(api, @namespace, null, time, metrics, loggers);

    public Informer<KVPrivacyPolicy> Policies { get; } = New<KVPrivacyPolicy>(api, @namespace, null, time, metrics, loggers);

    public Informer<MemorySchedulingProfile> Profiles { get; } = New<MemorySchedulingProfile>(api, null, null, time, metrics, loggers);

    public Informer<PromptOptimizer> Optimizers { get; } = New<PromptOptimizer>(api, @namespace, null, time, metrics, loggers);

    public Informer<PromptOptimizationJob> Jobs { get; } = New<PromptOptimizationJob>(api, @namespace, null, time, metrics, loggers);

    public Informer<V1Deployment> Deployments { get; } = New<V1Deployment>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1DaemonSet> DaemonSets { get; } = New<V1DaemonSet>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1Service> Services { get; } = New<V1Service>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1ServiceAccount> ServiceAccounts { get; } = New<V1ServiceAccount>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1ConfigMap> ConfigMaps { get; } = New<V1ConfigMap>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1PersistentVolumeClaim> Claims { get; } = New<V1PersistentVolumeClaim>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1NetworkPolicy> NetworkPolicies { get; } = New<V1NetworkPolicy>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1PodDisruptionBudget> DisruptionBudgets { get; } = New<V1PodDisruptionBudget>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V2HorizontalPodAutoscaler> Autoscalers { get; } = New<V2HorizontalPodAutoscaler>(api, @namespace, Own, time, metrics, loggers);

    public Informer<V1Job> BatchJobs { get; } = New<V1Job>(api, @namespace, Own, time, metrics, loggers);

    public Informer<PodMonitor> PodMonitors { get; } = New<PodMonitor>(api, @namespace, Own, time, metrics, loggers);

    public Informer<InferencePool> InferencePools { get; } = New<InferencePool>(api, @namespace, Own, time, metrics, loggers);

    public Informer<InferencePoolAlpha> InferencePoolsAlpha { get; } = New<InferencePoolAlpha>(api, @namespace, Own, time, metrics, loggers);

    public Informer<ScaledObject> ScaledObjects { get; } = New<ScaledObject>(api, @namespace, Own, time, metrics, loggers);

    /// <summary>Pods, to be found by component and instance. Of what they were asked to be only their node is kept.</summary>
    public Informer<V1Pod> Pods { get; } = New<V1Pod>(
        api,
        @namespace,
        Own,
        time,
        metrics,
        loggers,
        pod => pod.Metadata.Labels is { } labels && labels.TryGetValue(Labels.Component, out var component) && labels.TryGetValue(Labels.Instance, out var instance) ? $"{component}/{instance}" : null,
        pod => pod.Spec = pod.Spec is null ? null : new V1PodSpec { NodeName = pod.Spec.NodeName });

    /// <summary>Starts what the server serves and is not started yet, and ends what it does not serve any more.</summary>
    public async Task StartAsync(ServerCapabilities server, CancellationToken cancellationToken)
    {
        var wanted = Wanted(server).ToHashSet();
        foreach (var (informer, (task, stop)) in _running.Where(one => !wanted.Contains(one.Key)).ToList())
        {
            _running.Remove(informer);
            await stop.CancelAsync().ConfigureAwait(false);
            await task.ConfigureAwait(false);
            stop.Dispose();
            informer.Forget();
        }

        foreach (var informer in wanted.Where(informer => !_running.ContainsKey(informer)))
        {
            var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            _running[informer] = (Task.Run(() => informer.RunAsync(stop.Token), CancellationToken.None), stop);
        }
    }

    /// <summary>Completes when all that have been started hold everything.</summary>
    public Task SyncedAsync(CancellationToken cancellationToken) => Task.WhenAll(_running.Keys.Select(informer => informer.Synced)).WaitAsync(cancellationToken);

    /// <summary>Completes when all have stopped.</summary>
    public async Task StoppedAsync()
    {
        await Task.WhenAll(_running.Values.Select(one => one.Task)).ConfigureAwait(false);
        foreach (var (_, stop) in _running.Values)
            stop.Dispose();
        _running.Clear();
    }

    private IEnumerable<IInformer> Wanted(ServerCapabilities server)
    {
        yield return Policies;
        yield return Profiles;
        yield return MoEDeployments;
        yield return Optimizers;
        yield return Jobs;
        yield return Deployments;
        yield return DaemonSets;
        yield return Services;
        yield return ServiceAccounts;
        yield return ConfigMaps;
        yield return Claims;
        yield return Pods;
        yield return BatchJobs;
        if (server.NetworkPolicies)
            yield return NetworkPolicies;
        if (server.PodDisruptionBudgets)
            yield return DisruptionBudgets;
        if (server.HorizontalPodAutoscalers)
            yield return Autoscalers;
        if (server.PodMonitors)
            yield return PodMonitors;
        if (server.InferencePools)
            yield return InferencePools;
        if (server.InferencePoolsAlpha)
            yield return InferencePoolsAlpha;
        if (server.ScaledObjects)
            yield return ScaledObjects;
    }

    private static Informer<T> New<T>(ApiClient api, string? @namespace, string? selector, TimeProvider time, OperatorMetrics metrics, ILoggerFactory loggers, Func<T, string?>? indexer = null, Action<T>? trim = null)
        where T : class, IKubernetesObject<V1ObjectMeta> =>
        new(api, @namespace, selector, time, metrics, loggers.CreateLogger<Informer<T>>(), indexer, trim);
}
