using System.Text.Json;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Goes once through what a reconciliation does, without an API call, so that its code is compiled by the time the caches
/// are filled. Else the first resources, many at once after a start, would each wait for the compiler.
/// </summary>
internal static class WarmUp
{
    public static void Run(OperatorSettings settings, ServerCapabilities server, DateTimeOffset now)
    {
        var resource = new MoEDeployment
        {
            ApiVersion = $"{ApiGroup.Name}/{ApiGroup.Version}",
            Metadata = new V1ObjectMeta { Name = "warm-up", NamespaceProperty = "default", Uid = "warm-up", Generation = 1 },
            Spec = new MoEDeploymentSpec { Model = new ModelSpec { Source = new ModelSource { HostPath = new HostPathModel { Path = "/warm-up" } } } },
        };
        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None, settings, server);
        foreach (var child in plan.Children)
        {
            var body = ChildApplier.Body(child);
            var live = body.Deserialize(child.GetType(), WireJson.Options)!;
            Drift.Find(body, WireJson.ToNode(live));
        }

        resource.Status = StatusPlanner.MoEDeployment(resource, plan, ModelPreparation.None, Observation.Of(plan, [], null, []), now);
        WireJson.ToNode(resource).Deserialize<MoEDeployment>(WireJson.Options);
    }
}
