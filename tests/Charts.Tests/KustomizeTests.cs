using System.Text.Json.Nodes;

namespace Moebius.Charts.Tests;

/// <summary>The kustomize base and the charts are two ways to the same objects.</summary>
public sealed class KustomizeTests
{
    private static readonly string[] HelmOnly = ["helm.sh/chart", "app.kubernetes.io/managed-by", "helm.sh/resource-policy"];

    [Fact]
    public async Task Base_and_charts_render_the_same_objects()
    {
        var definitions = (await Tool.HelmAsync("template", "moebius", RepositoryFiles.At("charts/moebius-crds"))).EnsureSuccess().StandardOutput;
        var chart = await Rendered.ChartAsync("--skip-tests");
        var charts = ByName([.. Rendered.Parse(definitions).Objects, .. chart.Objects]);

        var kustomized = ByName(Rendered.Parse((await Tool.KubectlAsync("kustomize", RepositoryFiles.At("config/default"))).EnsureSuccess().StandardOutput).Objects);

        // The operator's own namespace is made by `helm install --create-namespace`, not by a chart.
        Assert.True(kustomized.Remove("Namespace//moebius-system"));
        Assert.Equal(charts.Keys, kustomized.Keys);
        foreach (var (name, one) in charts)
            Assert.True(JsonNode.DeepEquals(one, kustomized[name]), $"{name}: kustomize renders\n{kustomized[name]}\nand helm\n{one}");
    }

    [Fact]
    public async Task Base_names_nothing_of_helm_but_the_policy_to_keep()
    {
        var text = (await Tool.KubectlAsync("kustomize", RepositoryFiles.At("config/default"))).EnsureSuccess().StandardOutput;

        Assert.DoesNotContain(text.Split('\n'), line => line.Contains("helm", StringComparison.OrdinalIgnoreCase) && !line.Contains("helm.sh/resource-policy", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_operators_namespace_admits_the_operator_and_nothing_laxer()
    {
        var rendered = Rendered.Parse((await Tool.KubectlAsync("kustomize", RepositoryFiles.At("config/default"))).EnsureSuccess().StandardOutput);

        Assert.Equal("restricted", rendered.One<k8s.Models.V1Namespace>("moebius-system").Metadata.Labels["pod-security.kubernetes.io/enforce"]);
        Assert.Equal("privileged", rendered.One<k8s.Models.V1Namespace>("moebius-node-agents").Metadata.Labels["pod-security.kubernetes.io/enforce"]);
    }

    private static SortedDictionary<string, JsonObject> ByName(IReadOnlyList<JsonObject> objects)
    {
        var result = new SortedDictionary<string, JsonObject>(StringComparer.Ordinal);
        foreach (var one in objects)
        {
            var copy = one.DeepClone().AsObject();
            var metadata = copy["metadata"]!.AsObject();
            foreach (var field in new[] { "labels", "annotations" })
            {
                if (metadata[field] is not JsonObject map)
                    continue;
                foreach (var key in HelmOnly)
                    map.Remove(key);
                // Only the charts' definitions say which release they belong to.
                if ((string?)copy["kind"] == "CustomResourceDefinition")
                    map.Remove("app.kubernetes.io/instance");
                if (map.Count == 0)
                    metadata.Remove(field);
            }

            result.Add(Rendered.Name(one), copy);
        }

        return result;
    }
}
