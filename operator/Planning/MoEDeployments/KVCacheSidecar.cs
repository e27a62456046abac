using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// The prefix cache beside the engine. A native sidecar where the server has them: it starts before the engine and ends
/// after it. A plain container otherwise: the engine goes on without the cache while it is not there.
/// </summary>
internal static class KVCacheSidecar
{
    public static V1Container Plan(MoEDeploymentSpec spec, string image, ServerCapabilities server) => new()
    {
        Name = InferencePod.KVCacheContainer,
        RestartPolicy = server.NativeSidecars ? "Always" : null,
        Image = image,
        ImagePullPolicy = spec.ImagePullPolicy.ToString(),
        Command = [PodPaths.Program],
        Args =
        [
            "kvcache",
            "serve",
            $"--config={PodPaths.Config}/{InferenceConfiguration.KVCacheFile}",
            $"--socket={InferencePod.SocketFile}",
            $"--arena={PodPaths.Arena}/kv.arena",
            $"--arena-size={spec.KVCache.Memory.CanonicalizeString()}",
            $"--policy={PodPaths.Policy}/{PodPaths.PolicyFile}",
            $"--listen=0.0.0.0:{PodPaths.KVCacheMetricsPort}",
        ],
        Env = [Containers.NoDiagnostics()],
        Ports = [new V1ContainerPort { Name = "metrics", ContainerPort = PodPaths.KVCacheMetricsPort, Protocol = "TCP" }],
        Resources = spec.KVCache.Resources ?? PodMemory.KVCacheResources(spec),
        StartupProbe = Containers.Startup("metrics"),
        LivenessProbe = Containers.Liveness("metrics"),
        ReadinessProbe = Containers.Readiness("metrics"),
        TerminationMessagePolicy = "FallbackToLogsOnError",
        SecurityContext = Containers.Restricted(),
        VolumeMounts =
        [
            Containers.Mount("config", PodPaths.Config, readOnly: true),
            Containers.Mount("policy", PodPaths.Policy, readOnly: true),
            Containers.Mount("run", PodPaths.Run, readOnly: false),
            Containers.Mount("arena", PodPaths.Arena, readOnly: false),
        ],
    };
}
