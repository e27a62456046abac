using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Tests.Planning;

public sealed class ClipVolumeTests
{
    private static Plan Plan(PromptOptimizer resource, ServerCapabilities? server = null) =>
        PromptOptimizerPlanner.Plan(resource, Samples.MoE(), OperatorSettings.Default, server ?? ServerCapabilities.Latest);

    [Theory]
    [InlineData("claimName: clips, path: vit", 36, "clips", null, null)]
    [InlineData("image: {reference: 'registry/clip:1', pullPolicy: Always}, path: vit", 36, null, "registry/clip:1 Always", null)]
    [InlineData("image: {reference: 'registry/clip:1'}, path: vit", 29, null, null, "registry/clip:1 /vit /models/clip/vit 1Gi")]
    public void A_CLIP_model_is_mounted_or_copied_and_its_files_are_only_read(string where, int minor, string? claim, string? image, string? copied)
    {
        var server = new ServerCapabilities(new Version(1, minor), ["v1", "apps/v1", "networking.k8s.io/v1"]);
        var plan = Plan(
            Samples.Optimizer($"languageModel: {{moeDeploymentRef: {{name: austen}}}}\nimageModel: {{api: OpenAI, endpoint: {{url: 'http://images/v1', model: m}}}}\nscorer: {{type: Clip, clip: {{{where}}}}}\nresources: {{limits: {{memory: 1Gi}}}}"),
            server);
        var config = Manifests.Convert<PromptOptimizerConfig>(Manifests.ParseDocuments(plan.Child<V1ConfigMap>().Data["optimizer.yaml"], "c")[0], "c");
        Assert.Equal((ScorerType.Clip, "vit"), (config.Scorer.Type, config.Scorer.Clip!.Path));
        var pod = plan.Child<V1Deployment>().Spec.Template.Spec;
        var volume = pod.Volumes.Single(volume => volume.Name == "clip");
        Assert.Equal(claim, volume.PersistentVolumeClaim?.ClaimName);
        Assert.Equal(claim is null ? null : true, volume.PersistentVolumeClaim?.ReadOnlyProperty);
        Assert.Equal(image, volume.Image is { } mounted ? $"{mounted.Reference} {mounted.PullPolicy}" : null);
        Assert.Equal(copied, pod.InitContainers is [var copy] ? $"{copy.Image} {string.Join(' ', copy.Command.TakeLast(2))} {copy.Resources.Limits["memory"]}" : null);
        Assert.Equal(copied is not null, volume.EmptyDir is not null);
        Assert.Contains("--clip-root=/models/clip", pod.Containers[0].Args);
        var mount = pod.Containers[0].VolumeMounts.Single(mount => mount.Name == "clip");
        Assert.Equal(("/models/clip", true), (mount.MountPath, mount.ReadOnlyProperty));
    }

    [Fact]
    public void Without_CLIP_nothing_of_it_is_in_the_pod()
    {
        var pod = Plan(Samples.Optimizer()).Child<V1Deployment>().Spec.Template.Spec;
        Assert.DoesNotContain(pod.Volumes, volume => volume.Name == "clip");
        Assert.Null(pod.InitContainers);
        Assert.DoesNotContain(pod.Containers[0].Args, argument => argument.StartsWith("--clip", StringComparison.Ordinal));
    }
}
