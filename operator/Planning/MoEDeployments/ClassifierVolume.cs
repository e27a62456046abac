using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>The volume that holds the ONNX classifier of a policy, mounted read-only into the cache's container.</summary>
internal static class ClassifierVolume
{
    public const string Name = "classifier";

    public const string CopyContainer = "copy-classifier";

    /// <summary>The classifier that a policy brings; null when it brings none.</summary>
    public static OnnxClassifierSpec? Of(KVPrivacyPolicy? policy) => policy?.Spec.Classifier is { Type: ClassifierType.Onnx, Onnx: { } onnx } ? onnx : null;

    /// <param name="classifier">Where the model is.</param>
    /// <param name="server">What the API server can do.</param>
    /// <param name="name">The volume's name.</param>
    public static V1Volume Plan(OnnxClassifierSpec classifier, ServerCapabilities server, string name = Name) => classifier.Image switch
    {
        null => new V1Volume { Name = name, PersistentVolumeClaim = new V1PersistentVolumeClaimVolumeSource { ClaimName = classifier.ClaimName, ReadOnlyProperty = true } },
        { } image when server.ImageVolumes => new V1Volume { Name = name, Image = new V1ImageVolumeSource { Reference = image.Reference, PullPolicy = image.PullPolicy.ToString() } },
        _ => new V1Volume { Name = name, EmptyDir = new V1EmptyDirVolumeSource() },
    };

    /// <summary>Copies the files where the server cannot mount images; null where nothing has to be copied.</summary>
    public static V1Container? Copy(OnnxClassifierSpec? classifier, V1ResourceRequirements resources, ServerCapabilities server) => classifier?.Image is { } image && !server.ImageVolumes
        ? ModelVolume.CopyFromImage(CopyContainer, image.Reference, image.PullPolicy, classifier.Path, Name, PodPaths.Classifier, resources)
        : null;
}
