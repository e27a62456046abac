using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>Everything the operator watches. Of built-in types only the objects that it has made itself.</summary>
internal sealed class Informers(ApiClient api, string? @namespace, TimeProvider time, OperatorMetrics metrics, ILoggerFactory loggers)
{
    private const string Own = $"{Labels.ManagedBy}={Labels.Manager}";

    private readonly List<Task> running = [];

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

    public Informer<V1Pod> Pods { get; } = New<V1Pod>(api, @namespace, Own, time, metrics, loggers);

    /// <summary>Starts what the server serves and is not started yet.</summary>
    public void Start(ServerCapabilities server, CancellationToken cancellationToken)
    {
        foreach (var informer in Wanted(server).Except(Started).ToList())
        {
            Started.Add(informer);
            running.Add(Task.Run(() => informer.RunAsync(cancellationToken), CancellationToken.None));
        }
    }

    /// <summary>Informers that run.</summary>
    public List<IInformer> Started { get; } = [];

    /// <summary>Completes when all that have been started hold everything.</summary>
    public Task SyncedAsync(CancellationToken cancellationToken) => Task.WhenAll(Started.Select(informer => informer.Synced)).WaitAsync(cancellationToken);

    /// <summary>Completes when all have stopped.</summary>
    public Task StoppedAsync() => Task.WhenAll(running);

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
        if (server.NetworkPolicies)
            yield return NetworkPolicies;
        if (server.PodDisruptionBudgets)
            yield return DisruptionBudgets;
    }

    private static Informer<T> New<T>(ApiClient api, string? @namespace, string? selector, TimeProvider time, OperatorMetrics metrics, ILoggerFactory loggers)
        where T : class, IKubernetesObject<V1ObjectMeta> =>
        new(api, @namespace, selector, time, metrics, loggers.CreateLogger<Informer<T>>());
}
