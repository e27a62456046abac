using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.Policies;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>The files that the containers of an inference pod read.</summary>
internal static class InferenceConfiguration
{
    public const string InferenceFile = "inference.yaml";
    public const string KVCacheFile = "kvcache.yaml";

    public static Dictionary<string, string> Render(MoEDeployment resource)
    {
        var spec = resource.Spec;
        var files = new Dictionary<string, string>
        {
            [InferenceFile] = Manifests.ToYaml(new InferenceConfig
            {
                ModelName = MoEDeploymentPlanner.ModelName(resource),
                Experts = spec.Experts,
                Serving = spec.Serving,
                BlockTokens = spec.KVCache.BlockTokens,
            }),
        };
        if (spec.KVCache.Enabled)
        {
            files[KVCacheFile] = Manifests.ToYaml(new KVCacheConfig
            {
                // What the pod says in other ways (the mounted policy, the container's resources) is left out.
                KVCache = new KVCacheSpec
                {
                    Enabled = true,
                    Memory = spec.KVCache.Memory,
                    BlockTokens = spec.KVCache.BlockTokens,
                    Ssd = spec.KVCache.Ssd is { } disk ? new SsdTierSpec { Size = disk.Size } : null,
                    Shared = spec.KVCache.Shared is { } shared ? new SharedTierSpec { Address = shared.Address, Tls = shared.Tls, Timeout = shared.Timeout } : null,
                },
            });
        }

        if (spec.KVCache.PolicyRef is null)
            files[PodPaths.PolicyFile] = KVPrivacyPolicyPlanner.RenderDefault(resource.Metadata.Name, resource.Metadata.NamespaceProperty);
        return files;
    }

    /// <summary>What a pod must be replaced for when it changes.</summary>
    public static string HashSource(Dictionary<string, string> files) =>
        string.Join('\0', files.OrderBy(file => file.Key, StringComparer.Ordinal).Select(file => $"{file.Key}\0{file.Value}"));
}
