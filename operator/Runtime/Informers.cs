using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.External;

namespace Moebius.Operator.Runtime;

/// <summary>Everything the operator watches. Of built-in types only the objects that it has made itself.</summary>
internal sealed class Informers
{
    private const string Own = $"{Labels.ManagedBy}={Labels.Manager}";

    private readonly Dictionary<IInformer, (Task Task, CancellationTokenSource Stop)> _running = [];

    public Informers(ApiClient api, string? @namespace, TimeProvider time, OperatorMetrics metrics, ILoggerFactory loggers)
    {
        MoEDeployments = New<MoEDeployment>(@namespace, null);
        Policies = New<KVPrivacyPolicy>(@namespace, null);
        Profiles = New<MemorySchedulingProfile>(null, null);
        Optimizers = New<PromptOptimizer>(@namespace, null);
        Jobs = New<PromptOptimizationJob>(@namespace, null);
        Pods = New<V1Pod>(
            @namespace,
            Own,
            pod => pod.Metadata.Labels is { } labels && labels.TryGetValue(Labels.Component, out var component) && labels.TryGetValue(Labels.Instance, out var instance) ? $"{component}/{instance}" : null,
            pod => pod.Spec = pod.Spec is null ? null : new V1PodSpec { NodeName = pod.Spec.NodeName });
        BatchJobs = New<V1Job>(@namespace, Own);
        Deployments = New<V1Deployment>(@namespace, Own);
        DaemonSets = New<V1DaemonSet>(@namespace, Own);
        Children =
        [
            Child(New<V1ServiceAccount>(@namespace, Own)),
            Child(New<V1ConfigMap>(@namespace, Own)),
            Child(New<V1Service>(@namespace, Own)),
            Child(New<V1NetworkPolicy>(@namespace, Own), server => server.NetworkPolicies),
            Child(New<V1PodDisruptionBudget>(@namespace, Own), server => server.PodDisruptionBudgets),
            // Data outlives a change of mind: a claim goes only with its owner.
            new ChildKind<V1PersistentVolumeClaim>(api, New<V1PersistentVolumeClaim>(@namespace, Own)) { Prunable = false },
            Child(BatchJobs),
            Child(Deployments),
            // Of node agents, which an operator of one namespace has not.
            Child(DaemonSets, _ => @namespace is null),
            Child(New<V2HorizontalPodAutoscaler>(@namespace, Own), server => server.HorizontalPodAutoscalers),
            Child(New<PodMonitor>(@namespace, Own), server => server.PodMonitors),
            Child(New<InferencePool>(@namespace, Own), server => server.InferencePools),
            Child(New<InferencePoolAlpha>(@namespace, Own), server => server.InferencePoolsAlpha),
            Child(New<ScaledObject>(@namespace, Own), server => server.ScaledObjects),
        ];

        Informer<T> New<T>(string? scope, string? selector, Func<T, string?>? indexer = null, Action<T>? trim = null)
            where T : class, IKubernetesObject<V1ObjectMeta> => new(api, scope, selector, time, metrics, loggers.CreateLogger<Informer<T>>(), indexer, trim);

        ChildKind<T> Child<T>(Informer<T> informer, Func<ServerCapabilities, bool>? isServed = null)
            where T : class, IKubernetesObject<V1ObjectMeta> => new(api, informer) { IsServed = isServed ?? (_ => true) };
    }

    public Informer<MoEDeployment> MoEDeployments { get; }

    public Informer<KVPrivacyPolicy> Policies { get; }

    public Informer<MemorySchedulingProfile> Profiles { get; }

    public Informer<PromptOptimizer> Optimizers { get; }

    public Informer<PromptOptimizationJob> Jobs { get; }

    public Informer<V1Deployment> Deployments { get; }

    public Informer<V1DaemonSet> DaemonSets { get; }

    public Informer<V1Job> BatchJobs { get; }

    /// <summary>Pods, to be found by component and instance. Of what they were asked to be only their node is kept.</summary>
    public Informer<V1Pod> Pods { get; }

    /// <summary>Every kind of object that a plan may hold, in the order in which what is not planned any more is removed.</summary>
    public IReadOnlyList<IChildKind> Children { get; }

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

    private IEnumerable<IInformer> Wanted(ServerCapabilities server) =>
        [Policies, Profiles, MoEDeployments, Optimizers, Jobs, Pods, .. Children.Where(kind => kind.IsServed(server)).Select(kind => kind.Informer)];
}
