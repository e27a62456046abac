using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class ChildBodyTests
{
    public static TheoryData<string> Specs => ["", "experts: {fastMemory: 1Gi}", "podTemplate: {metadata: {annotations: {a: 'x < \"y\" & ü'} } }", "autoscaling: {minReplicas: 1, maxReplicas: 3}"];

    /// <summary>A hash that another version of the operator reads otherwise would have every child applied again at each upgrade.</summary>
    [Theory]
    [MemberData(nameof(Specs))]
    public void The_hash_is_that_of_the_planned_object_and_the_body_carries_both(string spec)
    {
        foreach (var child in Children(spec))
        {
            var planned = WireJson.ToNode(child);
            var body = new ChildBody(child);
            Assert.Equal(ChildBuilder.Hash(planned.ToJsonString()), body.Hash);
            Assert.False(planned.ContainsKey("status"));

            var sent = body.ToNode();
            var annotations = (JsonObject)sent["metadata"]!["annotations"]!;
            Assert.Equal(body.Hash, (string?)annotations[Labels.PlanHash]);
            annotations.Remove(Labels.PlanHash);
            if (annotations.Count == 0)
                ((JsonObject)sent["metadata"]!).Remove("annotations");
            Assert.True(JsonNode.DeepEquals(planned, sent));
            // Each caller may add to its own.
            Assert.NotSame(body.ToNode(), body.ToNode());
        }
    }

    [Fact]
    public void Plans_that_differ_have_other_hashes() =>
        Assert.Empty(Children("").Select(child => new ChildBody(child).Hash).Intersect(Children("experts: {fastMemory: 3Gi}").Where(child => child is V1ConfigMap or V1Deployment).Select(child => new ChildBody(child).Hash)));

    private static IReadOnlyList<IKubernetesObject<V1ObjectMeta>> Children(string spec)
    {
        var resource = Samples.MoE(spec);
        resource.Metadata.Uid = "one";
        return MoEDeploymentPlanner.Plan(resource, MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest).Children;
    }
}
