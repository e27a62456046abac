using Moebius.Crds.Config;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// The prefix cache beside the engine. A native sidecar where the server has them: it starts before the engine and ends
/// after it. A plain container otherwise: the engine goes on without the cache while it is not there.
/// </summary>
internal static class KVCacheSidecar
{
    public const string MetricsPort = "metrics";

    public static V1Container Plan(MoEDeploymentSpec spec, KVPrivacyPolicy? policy, OperatorSettings settings, ServerCapabilities server)
    {
        var container = Base(spec, settings, server);
        if (spec.KVCache.Ssd is not null)
        {
            container.Args.Add($"--ssd={PodPaths.KVDisk}");
            container.VolumeMounts.Add(Containers.Mount("kv-disk", PodPaths.KVDisk, readOnly: false));
        }

        if (spec.KVCache.Shared?.PasswordSecretRef is { } password)
            container.Env.Add(Containers.FromSecret(ContainerVariables.SharedPassword, password));
        if (policy?.Spec.Encryption is not null && LeavesArena(spec))
        {
            container.Args.Add($"--encryption-key={PodPaths.KVKey}/{PodPaths.KVKeyFile}");
            container.VolumeMounts.Add(Containers.Mount("kv-key", PodPaths.KVKey, readOnly: true));
        }

        if (policy?.Spec.ContextCheck?.Endpoint.ApiKeySecretRef is { } token)
            container.Env.Add(Containers.FromSecret(ContainerVariables.ContextCheckKey, token));
        if (ClassifierVolume.Of(policy) is not null)
        {
            container.Args.Add($"--classifier-root={PodPaths.Classifier}");
            container.VolumeMounts.Add(Containers.Mount(ClassifierVolume.Name, PodPaths.Classifier, readOnly: true));
        }

        return container;
    }

    /// <summary>The volumes that further tiers and their key need.</summary>
    public static IEnumerable<V1Volume> Volumes(MoEDeploymentSpec spec, KVPrivacyPolicy? policy, ServerCapabilities server)
    {
        if (ClassifierVolume.Of(policy) is { } classifier)
            yield return ClassifierVolume.Plan(classifier, server);
        if (spec.KVCache.Ssd is { } disk)
            yield return Disk(disk);
        if (policy?.Spec.Encryption?.SecretRef is { } key && LeavesArena(spec))
        {
            yield return new V1Volume
            {
                Name = "kv-key",
                Secret = new V1SecretVolumeSource { SecretName = key.Name, DefaultMode = 0x120, Items = [new V1KeyToPath { Key = key.Key, Path = PodPaths.KVKeyFile }] },
            };
        }
    }

    /// <summary>Whether there is a tier that blocks could be encrypted for.</summary>
    private static bool LeavesArena(MoEDeploymentSpec spec) => spec.KVCache.Ssd is not null || spec.KVCache.Shared is not null;

    // A volume of a storage class is made with the pod and goes with it: the cache is no data that has to stay.
    private static V1Volume Disk(SsdTierSpec disk) => disk.StorageClassName is null
        ? new V1Volume { Name = "kv-disk", EmptyDir = new V1EmptyDirVolumeSource { SizeLimit = disk.Size } }
        : new V1Volume
        {
            Name = "kv-disk",
            Ephemeral = new V1EphemeralVolumeSource
            {
                VolumeClaimTemplate = new V1PersistentVolumeClaimTemplate
                {
                    Spec = new V1PersistentVolumeClaimSpec
                    {
                        AccessModes = ["ReadWriteOnce"],
                        StorageClassName = disk.StorageClassName,
                        Resources = new V1VolumeResourceRequirements { Requests = new Dictionary<string, ResourceQuantity> { ["storage"] = disk.Size } },
                    },
                },
            },
        };

    private static V1Container Base(MoEDeploymentSpec spec, OperatorSettings settings, ServerCapabilities server)
    {
        List<string> args =
        [
            "kvcache",
            "serve",
            $"--config={PodPaths.Config}/{InferenceConfiguration.KVCacheFile}",
            $"--socket={InferencePod.SocketFile}",
            $"--arena={PodPaths.Arena}/kv.arena",
            $"--arena-size={spec.KVCache.Memory.CanonicalizeString()}",
            $"--policy={PodPaths.Policy}/{PodPaths.PolicyFile}",
            $"--listen=0.0.0.0:{PodPaths.KVCacheMetricsPort}",
        ];
        List<V1VolumeMount> mounts =
        [
            Containers.Mount("config", PodPaths.Config, readOnly: true),
            Containers.Mount("policy", PodPaths.Policy, readOnly: true),
            Containers.Mount("run", PodPaths.Run, readOnly: false),
            Containers.Mount("arena", PodPaths.Arena, readOnly: false),
        ];
        var resources = spec.KVCache.Resources ?? PodMemory.KVCacheResources(spec);
        var image = spec.Image ?? settings.ImageOf(InferencePod.KVCacheContainer);
        var container = Containers.Moebius(InferencePod.KVCacheContainer, image, spec.ImagePullPolicy, args, resources, mounts).Serving(MetricsPort, PodPaths.KVCacheMetricsPort, settings);
        container.RestartPolicy = server.NativeSidecars ? "Always" : null;
        return container;
    }
}
