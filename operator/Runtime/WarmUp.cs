using System.Text.Json;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Goes through what a reconciliation does, without an API call, so that its code is compiled by the time the caches are
/// filled. Else the first resources, many at once after a start, would each wait for the compiler, and all of them run code
/// that is not optimized yet: the runtime optimizes what has been called 30 times, in pauses of 100 ms.
/// </summary>
internal static class WarmUp
{
    private const int Rounds = 3;
    private const int Calls = 32;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);

    private static int begun;

    /// <summary>Warms up; once is enough for a process.</summary>
    public static async Task RunAsync(OperatorSettings settings, ServerCapabilities server, DateTimeOffset now)
    {
        if (Interlocked.Exchange(ref begun, 1) != 0)
            return;
        for (var round = 0; round < Rounds; round++)
        {
            for (var call = 0; call < Calls; call++)
                Once(settings, server, now);
            await Task.Delay(Pause).ConfigureAwait(false);
        }
    }

    private static void Once(OperatorSettings settings, ServerCapabilities server, DateTimeOffset now)
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
            var live = JsonSerializer.Deserialize(JsonSerializer.SerializeToUtf8Bytes(body, WireJson.Options), child.GetType(), WireJson.Options)!;
            Drift.Find(body, WireJson.ToNode(live));
        }

        resource.Status = StatusPlanner.MoEDeployment(resource, plan, ModelPreparation.None, Observation.Of(plan, [], null, []), now);
        WireJson.ToNode(resource).Deserialize<MoEDeployment>(WireJson.Options);
    }
}
