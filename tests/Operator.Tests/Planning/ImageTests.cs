using k8s.Models;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Profiles;

namespace Moebius.Operator.Tests.Planning;

public sealed class ImageTests
{
    [Theory]
    [InlineData("r/moebius-{component}:1", "r/moebius-inference:1", "r/moebius-kvcache:1", "r/moebius-node-agent:1")]
    [InlineData("all-in-one:1", "all-in-one:1", "all-in-one:1", "all-in-one:1")]
    public void Each_component_has_its_image(string image, string inference, string kvCache, string agent)
    {
        var settings = OperatorSettings.Default with { Image = image };
        var pod = MoEDeploymentPlanner.Plan(Samples.MoE(), MoEReferences.None, settings, ServerCapabilities.Latest).Child<V1Deployment>().Spec.Template.Spec;
        var profile = Samples.Profile();

        Assert.Equal(inference, Assert.Single(pod.Containers).Image);
        // What measures the model is the engine's own program.
        Assert.Equal([("size", inference), ("kvcache", kvCache)], pod.InitContainers.Select(container => (container.Name, container.Image)));
        Assert.Equal(agent, MemorySchedulingProfilePlanner.Plan(profile, [profile], settings, ServerCapabilities.Latest).Child<V1DaemonSet>().Spec.Template.Spec.Containers[0].Image);
    }

    [Fact]
    public void Image_of_the_resource_is_that_of_all_containers()
    {
        var pod = MoEDeploymentPlanner.Plan(Samples.MoE("image: own:1"), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest).Child<V1Deployment>().Spec.Template.Spec;

        Assert.Equal("own:1", Assert.Single(pod.Containers).Image);
        Assert.All(pod.InitContainers, container => Assert.Equal("own:1", container.Image));
    }
}
