using Moebius.Crds.Config;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// An init container that reads the sizes of a mounted model, which the operator cannot, reports them, and refuses a model
/// that does not fit before the engine begins to load it. The limit is that of the inference container, or what the node
/// has where none is set.
/// </summary>
internal static class ModelSizeCheck
{
    public const string ContainerName = "size";

    public static V1Container Container(MoEDeploymentSpec spec, string image)
    {
        List<string> args =
        [
            "model",
            "size",
            $"--model={ModelVolume.Directory(spec.Model.Source)}",
            $"--config={PodPaths.Config}/{InferenceConfiguration.InferenceFile}",
            $"--arena-size={(spec.KVCache.Enabled ? spec.KVCache.Memory.CanonicalizeString() : "0")}",
            $"--report={PodPaths.TerminationLog}",
        ];
        List<V1VolumeMount> mounts = [Containers.Mount("config", PodPaths.Config, readOnly: true), Containers.Mount("model", PodPaths.Model, readOnly: true)];
        var container = Containers.Moebius(ContainerName, image, spec.ImagePullPolicy, args, PodMemory.Preparing(spec), mounts);
        container.Env.Add(new V1EnvVar
        {
            Name = ContainerVariables.MemoryLimit,
            ValueFrom = new V1EnvVarSource { ResourceFieldRef = new V1ResourceFieldSelector { ContainerName = InferencePod.InferenceContainer, Resource = "limits.memory" } },
        });
        return container;
    }
}
