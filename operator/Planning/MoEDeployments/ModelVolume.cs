using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>The volume that holds the model, mounted read-only.</summary>
internal static class ModelVolume
{
    /// <summary>The model directory inside the container.</summary>
    public static string Directory(ModelSource source)
    {
        var path = (source.PersistentVolumeClaim?.Path ?? source.Image?.Path ?? "").Trim('/');
        return path.Length == 0 ? PodPaths.Model : $"{PodPaths.Model}/{path}";
    }

    /// <summary>
    /// Plans the volume. A hostPath is the one thing in the pod that the Pod Security level "restricted" forbids: its
    /// namespace needs "privileged", and the files must be readable by user 65532.
    /// </summary>
    public static V1Volume Plan(ModelSource source) => source switch
    {
        { HostPath: { } host } => new V1Volume { Name = "model", HostPath = new V1HostPathVolumeSource { Path = host.Path, Type = "Directory" } },
        { PersistentVolumeClaim: { } claim } => new V1Volume { Name = "model", PersistentVolumeClaim = new V1PersistentVolumeClaimVolumeSource { ClaimName = claim.ClaimName, ReadOnlyProperty = true } },
        { Image: { } image } => new V1Volume { Name = "model", Image = new V1ImageVolumeSource { Reference = image.Reference, PullPolicy = image.PullPolicy.ToString() } },
        _ => throw new InvalidOperationException("a source that cannot be mounted must have been refused"),
    };
}
