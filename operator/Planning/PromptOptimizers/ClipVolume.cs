using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Planning.PromptOptimizers;

/// <summary>The volume that holds the CLIP model of an optimizer, mounted read-only.</summary>
internal static class ClipVolume
{
    public const string Name = "clip";

    private const string CopyContainer = "copy-clip";

    public static IEnumerable<V1Volume> Plan(PromptOptimizerSpec spec, ServerCapabilities server)
    {
        if (spec.Scorer.Clip is { } clip)
            yield return ClassifierVolume.Plan(clip, server, Name);
    }

    /// <summary>Copies the files where the server cannot mount images; null where nothing has to be copied. It has what the service has, which costs nothing: it has ended when that starts.</summary>
    public static V1Container? Copy(PromptOptimizerSpec spec, ServerCapabilities server) => spec.Scorer.Clip is { Image: { } image } clip && !server.ImageVolumes
        ? ModelVolume.CopyFromImage(CopyContainer, image.Reference, image.PullPolicy, clip.Path, Name, PodPaths.Clip, spec.Resources ?? new V1ResourceRequirements())
        : null;
}
