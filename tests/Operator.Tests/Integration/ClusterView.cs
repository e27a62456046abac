using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using k8s;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Reads a namespace as an administrator, without the cost of a process for each question.</summary>
internal sealed partial class ClusterView(OperatorCluster cluster) : IDisposable
{
    private static readonly ResourceType[] Children =
    [
        ResourceType.Of<V1ServiceAccount>(), ResourceType.Of<V1ConfigMap>(), ResourceType.Of<V1Service>(), ResourceType.Of<V1NetworkPolicy>(),
        ResourceType.Of<V1PersistentVolumeClaim>(), ResourceType.Of<V1Job>(), ResourceType.Of<V1Deployment>(),
    ];

    private readonly Kubernetes _kubernetes = new(cluster.Configuration);

    public ApiClient Api => field ??= new ApiClient(_kubernetes, new OperatorMetrics());

    public void Dispose() => _kubernetes.Dispose();

    /// <summary>All that the operator has made in a namespace, without what differs from one making to another.</summary>
    public async Task<string> ChildrenAsync(string @namespace)
    {
        var lines = new List<string>();
        foreach (var type in Children)
        {
            var (items, _) = await Api.ListAsync(type, @namespace, $"{Labels.ManagedBy}={Labels.Manager}", item => JsonObject.Create(item.Clone()), TestContext.Current.CancellationToken);
            lines.AddRange(items.Select(item => $"{type.Kind} {Normal(item, @namespace)}"));
        }

        return string.Join('\n', lines.Order(StringComparer.Ordinal));
    }

    /// <summary>Whether every Moebius resource of a namespace has a status of its current generation, and every job has ended well.</summary>
    public async Task<bool> IsReportedAsync(string @namespace)
    {
        foreach (var type in new[] { ResourceType.Of<MoEDeployment>(), ResourceType.Of<KVPrivacyPolicy>(), ResourceType.Of<PromptOptimizer>() })
        {
            var (items, _) = await Api.ListAsync(type, @namespace, null, item => JsonObject.Create(item.Clone()), TestContext.Current.CancellationToken);
            if (items.Any(item => (long?)item["status"]?["observedGeneration"] != (long?)item["metadata"]!["generation"]))
                return false;
        }

        var (jobs, _) = await Api.ListAsync(ResourceType.Of<PromptOptimizationJob>(), @namespace, null, item => JsonObject.Create(item.Clone()), TestContext.Current.CancellationToken);
        return jobs.All(job => job["status"]?["conditions"]?.AsArray().Any(condition => (string?)condition!["type"] == "Complete" && (string?)condition["status"] == "True") == true);
    }

    [GeneratedRegex("\"moebius\\.dev/config-hash\":\"[0-9a-f]{16}\"")]
    private static partial Regex ConfigHash();

    private static string Normal(JsonObject item, string @namespace)
    {
        item = (JsonObject)item.DeepClone();
        var metadata = (JsonObject)item["metadata"]!;
        foreach (var field in new[] { "uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink", "generation" })
            metadata.Remove(field);
        foreach (var owner in (JsonArray)metadata["ownerReferences"]!)
            ((JsonObject)owner!).Remove("uid");
        // It is made over the owner's UID too.
        ((JsonObject)metadata["annotations"]!).Remove(Labels.PlanHash);
        item.Remove("status");
        (item["spec"] as JsonObject)?.Remove("clusterIP");
        (item["spec"] as JsonObject)?.Remove("clusterIPs");
        // Configurations hold the namespace, and so their hashes depend on it.
        return ConfigHash().Replace(item.ToJsonString().Replace(@namespace, "NAMESPACE", StringComparison.Ordinal), "");
    }
}
