using System.Globalization;
using Moebius.Crds.Config;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>The pod of a MoEDeployment: the engine, and beside it the prefix cache.</summary>
internal static class InferencePod
{
    public const string InferenceContainer = "inference";
    public const string KVCacheContainer = "kvcache";
    public const string ServingPort = "http";
    public const string MetricsPort = "engine-metrics";
    public const string SocketFile = PodPaths.Run + "/kvcache.sock";

    /// <summary>Time for the endpoints to forget the pod before the engine stops taking requests.</summary>
    private const int PreStopSeconds = 5;

    /// <summary>Time to end after the last request has been drained.</summary>
    private const int ExitSeconds = 10;

    public static V1PodSpec Plan(MoEDeployment resource, MoEReferences references, OperatorSettings settings, ServerCapabilities server)
    {
        var spec = resource.Spec;
        var image = spec.Image ?? settings.ImageOf(Components.Inference);
        var inference = Inference(resource, references, image, settings, server);
        var kvCache = spec.KVCache.Enabled ? KVCacheSidecar.Plan(spec, references.Policy, settings, server) : null;
        var drain = Durations.Parse(spec.Serving.DrainTimeout, "spec.serving.drainTimeout");
        var check = ModelFetch.IsRemote(spec.Model.Source) ? null : ModelSizeCheck.Container(spec, image);
        var fetch = references.Preparation.State == FetchState.Inline && ModelFetch.IsRemote(spec.Model.Source) ? ModelFetch.Container(spec, settings) : null;
        var copy = spec.Model.Source.Image is { } model && !server.ImageVolumes ? ModelVolume.CopyFromImage(model, PodMemory.Preparing(spec)) : null;
        var pod = new V1PodSpec
        {
            ServiceAccountName = Names.Inference(resource.Metadata.Name),
            AutomountServiceAccountToken = false,
            EnableServiceLinks = false,
            SecurityContext = Containers.RestrictedPod(),
            ImagePullSecrets = Containers.PullSecrets(spec.ImagePullSecrets),
            TerminationGracePeriodSeconds = PreStopSeconds + (long)Math.Ceiling(drain.TotalSeconds) + ExitSeconds,
            Containers = [inference],
            Volumes = [.. Volumes(resource, server, writableModel: fetch is not null), .. fetch is null ? [] : ModelFetch.Volumes(spec.Model.Source), .. kvCache is null ? [] : KVCacheSidecar.Volumes(spec, references.Policy, server)],
        };
        var classifier = kvCache is null ? null : ClassifierVolume.Copy(ClassifierVolume.Of(references.Policy), PodMemory.Preparing(spec), server);
        var before = new[] { fetch, copy, check, classifier, server.NativeSidecars ? kvCache : null }.OfType<V1Container>().ToList();
        pod.InitContainers = before.Count > 0 ? before : null;
        if (kvCache is not null && !server.NativeSidecars)
            pod.Containers = [kvCache, inference];
        Place(pod, resource, references.Profile, spread: true);
        StoreAffinity.Draw(pod, resource);
        return pod;
    }

    private static V1Container Inference(MoEDeployment resource, MoEReferences references, string image, OperatorSettings settings, ServerCapabilities server)
    {
        var spec = resource.Spec;
        List<string> args =
        [
            "serve",
            $"--config={PodPaths.Config}/{InferenceConfiguration.InferenceFile}",
            $"--model={ModelVolume.Directory(spec.Model.Source)}",
            $"--listen=0.0.0.0:{spec.Serving.Port.ToString(CultureInfo.InvariantCulture)}",
            $"--metrics-listen=0.0.0.0:{PodPaths.InferenceMetricsPort}",
        ];
        if (spec.KVCache.Enabled)
            args.Add($"--kv-socket={SocketFile}");
        args.Add($"--policy={PodPaths.Policy}/{PodPaths.PolicyFile}");

        List<V1VolumeMount> mounts =
        [
            Containers.Mount("config", PodPaths.Config, readOnly: true),
            Containers.Mount("policy", PodPaths.Policy, readOnly: true),
            Containers.Mount("model", PodPaths.Model, readOnly: true),
        ];
        if (spec.KVCache.Enabled)
        {
            mounts.Add(Containers.Mount("run", PodPaths.Run, readOnly: false));
            mounts.Add(Containers.Mount("arena", PodPaths.Arena, readOnly: false));
        }

        var resources = spec.Resources ?? PodMemory.InferenceRequests(spec, ModelFetch.IsRemote(spec.Model.Source) ? references.Preparation.Facts : null);
        var container = Containers.Moebius(InferenceContainer, image, spec.ImagePullPolicy, args, resources, mounts).Serving(ServingPort, spec.Serving.Port, settings);
        container.Ports.Add(new V1ContainerPort { Name = MetricsPort, ContainerPort = PodPaths.InferenceMetricsPort, Protocol = "TCP" });
        // Clients can use up the connections of the API: a pod to which that happens is not ready, but not to be killed.
        container.StartupProbe.HttpGet.Port = container.LivenessProbe.HttpGet.Port = MetricsPort;
        container.Lifecycle = new V1Lifecycle { PreStop = PreStop(server) };
        if (references.Policy?.Spec.Identity.Signature is { SecretRef: var key })
            container.Env.Add(Containers.FromSecret(ContainerVariables.TenantSignatureKey, key));
        return container;
    }

    private static V1LifecycleHandler PreStop(ServerCapabilities server) => server.SleepAction
        ? new V1LifecycleHandler { Sleep = new V1SleepAction { Seconds = PreStopSeconds } }
        : new V1LifecycleHandler { Exec = new V1ExecAction { Command = ["sleep", PreStopSeconds.ToString(CultureInfo.InvariantCulture)] } };

    private static List<V1Volume> Volumes(MoEDeployment resource, ServerCapabilities server, bool writableModel)
    {
        var spec = resource.Spec;
        var configMap = Names.InferenceConfig(resource.Metadata.Name);
        List<V1Volume> volumes =
        [
            spec.KVCache.Enabled
                ? Containers.ConfigMapVolume("config", configMap, InferenceConfiguration.InferenceFile, InferenceConfiguration.KVCacheFile)
                : Containers.ConfigMapVolume("config", configMap, InferenceConfiguration.InferenceFile),
            spec.KVCache.PolicyRef is { Name: var policy }
                ? Containers.ConfigMapVolume("policy", Names.Policy(policy))
                : Containers.ConfigMapVolume("policy", configMap, PodPaths.PolicyFile),
            writableModel ? ModelVolume.Store(resource, readOnly: false) : ModelVolume.Plan(resource, server),
        ];
        if (spec.KVCache.Enabled)
        {
            volumes.Add(new V1Volume { Name = "run", EmptyDir = new V1EmptyDirVolumeSource() });
            volumes.Add(new V1Volume { Name = "arena", EmptyDir = new V1EmptyDirVolumeSource { Medium = "Memory", SizeLimit = spec.KVCache.Memory } });
        }

        return volumes;
    }

    /// <summary>Says where a pod may run.</summary>
    public static void Place(V1PodSpec pod, MoEDeployment resource, MemorySchedulingProfile? profile, bool spread)
    {
        var placement = resource.Spec.Placement;
        var nodes = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in (profile?.Spec?.NodeSelector ?? []).Concat(placement?.NodeSelector ?? []))
            nodes[key] = value;
        pod.NodeSelector = nodes.Count > 0 ? nodes : null;
        pod.Tolerations = placement?.Tolerations is { Count: > 0 } tolerations ? tolerations : null;
        pod.PriorityClassName = placement?.PriorityClassName;
        pod.TopologySpreadConstraints = spread && placement?.TopologySpreadConstraints is { Count: > 0 } constraints
            ? [.. constraints.Select(constraint => WithSelector(constraint, resource.Metadata.Name))]
            : null;
    }

    private static V1TopologySpreadConstraint WithSelector(V1TopologySpreadConstraint constraint, string name) => new()
    {
        LabelSelector = constraint.LabelSelector ?? new V1LabelSelector { MatchLabels = Labels.Selector(Components.Inference, name) },
        MatchLabelKeys = constraint.MatchLabelKeys,
        MaxSkew = constraint.MaxSkew,
        MinDomains = constraint.MinDomains,
        NodeAffinityPolicy = constraint.NodeAffinityPolicy,
        NodeTaintsPolicy = constraint.NodeTaintsPolicy,
        TopologyKey = constraint.TopologyKey,
        WhenUnsatisfiable = constraint.WhenUnsatisfiable,
    };
}
