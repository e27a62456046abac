using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>The volume that holds the model, mounted read-only.</summary>
internal static class ModelVolume
{
    public const string CopyContainer = "copy-model";

    /// <summary>The model directory inside the container.</summary>
    public static string Directory(ModelSource source)
    {
        var path = ModelFetch.IsRemote(source) ? ModelFetch.Revision(source) : (source.PersistentVolumeClaim?.Path ?? source.Image?.Path ?? "").Trim('/');
        return path.Length == 0 ? PodPaths.Model : $"{PodPaths.Model}/{path}";
    }

    /// <summary>
    /// Plans the volume. A hostPath is the one thing in the pod that the Pod Security level "restricted" forbids: its
    /// namespace needs "privileged", and the files must be readable by user 65532.
    /// </summary>
    public static V1Volume Plan(MoEDeployment resource, ServerCapabilities server) => resource.Spec.Model.Source switch
    {
        { HostPath: { } host } => new V1Volume { Name = "model", HostPath = new V1HostPathVolumeSource { Path = host.Path, Type = "Directory" } },
        { PersistentVolumeClaim: { } claim } => Claim(claim.ClaimName, readOnly: true),
        { Image: not null } when !server.ImageVolumes => new V1Volume { Name = "model", EmptyDir = new V1EmptyDirVolumeSource() },
        { Image: { } image } => new V1Volume { Name = "model", Image = new V1ImageVolumeSource { Reference = image.Reference, PullPolicy = image.PullPolicy.ToString() } },
        _ => Store(resource, readOnly: true),
    };

    public static V1Container CopyFromImage(ImageModel image, V1ResourceRequirements resources) => CopyFromImage(CopyContainer, image.Reference, image.PullPolicy, image.Path, "model", PodPaths.Model, resources);

    /// <summary>
    /// Where the server cannot mount images, a container of the image copies its files. The image then needs a <c>cp</c>.
    /// </summary>
    public static V1Container CopyFromImage(string container, string image, ImagePullPolicy pullPolicy, string directory, string volume, string root, V1ResourceRequirements resources)
    {
        var path = directory.Trim('/');
        var target = path.Length == 0 ? root : $"{root}/{path}";
        return new V1Container
        {
            Name = container,
            Image = image,
            ImagePullPolicy = pullPolicy.ToString(),
            Command = ["sh", "-c", "mkdir -p \"$2\" && cp -R \"$1/.\" \"$2\"", "sh", $"/{path}", target],
            Resources = resources,
            TerminationMessagePolicy = "FallbackToLogsOnError",
            SecurityContext = Containers.Restricted(),
            VolumeMounts = [Containers.Mount(volume, root, readOnly: false)],
        };
    }

    /// <summary>The claim that a remote model is kept in.</summary>
    public static V1Volume Store(MoEDeployment resource, bool readOnly) => Claim(Names.ModelStore(resource.Metadata.Name), readOnly);

    private static V1Volume Claim(string name, bool readOnly) =>
        new() { Name = "model", PersistentVolumeClaim = new V1PersistentVolumeClaimVolumeSource { ClaimName = name, ReadOnlyProperty = readOnly ? true : null } };
}
