using System.Text.Json;
using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;

namespace Moebius.Bench.Operator;

/// <summary>The resources of the benchmark, and the objects that the operator makes of them.</summary>
internal static class Fleet
{
    /// <summary>As discovered on the API server that the benchmark runs on.</summary>
    private static readonly ServerCapabilities Server = new(new Version(1, 20), ["v1", "apps/v1", "networking.k8s.io/v1"]);

    public static JsonObject Resource(int index, string @namespace) => (JsonObject)JsonNode.Parse($$"""
        {
          "apiVersion": "moebius.dev/v1alpha1",
          "kind": "MoEDeployment",
          "metadata": { "name": "moe-{{index}}", "namespace": "{{@namespace}}" },
          "spec": {
            "model": { "source": { "hostPath": { "path": "/models/austen" } } },
            "kvCache": { "memory": "64Mi" },
            "experts": { "fastMemory": "6Mi" }
          }
        }
        """)!;

    public static IReadOnlyList<(string Collection, JsonObject Body)> ChildrenOf(int index, string @namespace)
    {
        var resource = Manifests.Convert<MoEDeployment>(Resource(index, @namespace), "fleet");
        return [.. ManifestPlanner.Plan([resource], OperatorSettings.Default, Server).Single().Plan.Children
            .Select(child => (Collection(child, @namespace), (JsonObject)JsonSerializer.SerializeToNode(child, child.GetType(), Manifests.Json)!))];
    }

    private static string Collection(object child, string @namespace) => child switch
    {
        V1ServiceAccount => $"api/v1/namespaces/{@namespace}/serviceaccounts",
        V1ConfigMap => $"api/v1/namespaces/{@namespace}/configmaps",
        V1Service => $"api/v1/namespaces/{@namespace}/services",
        V1NetworkPolicy => $"apis/networking.k8s.io/v1/namespaces/{@namespace}/networkpolicies",
        V1Deployment => $"apis/apps/v1/namespaces/{@namespace}/deployments",
        _ => throw new InvalidOperationException($"{child.GetType().Name}: the benchmark does not know its path"),
    };
}
