using System.Text.Json.Nodes;

namespace Moebius.Cluster.Tests;

/// <summary>Every query of the dashboards and rules, asked of a real Prometheus that reads the metrics of real pods.</summary>
[Trait("Category", "Node")]
[Collection(NodeTests.Name)]
public sealed class DashboardTests(NodeCluster cluster)
{
    [Fact]
    public async Task Queries_of_dashboards_are_answered_with_what_the_pods_measure()
    {
        await cluster.EventuallyAsync("the model is ready", () => cluster.IsReadyAsync("moedeployment", "austen"));
        await cluster.EventuallyAsync("the optimizer is ready", () => cluster.IsReadyAsync("promptoptimizer", "sculptor"));
        await cluster.EventuallyAsync("the profile is ready", () => cluster.IsReadyAsync("memoryschedulingprofile", "quickstart"));
        var targets = await TargetsAsync();
        Assert.True(targets.Count >= 6, $"only {targets.Count} targets");
        await using var prometheus = await PrometheusServer.StartAsync(targets);
        IReadOnlyList<string> unread = [];
        await cluster.EventuallyAsync("every pod was read", async () => (unread = await prometheus.UnreadAsync()).Count == 0);
        using var chat = await cluster.ChatAsync();
        for (var i = 0; i < 3; i++)
            await chat.AskAsync($"What did number {i} say?");
        // Rates need two readings after the last question.
        await cluster.EventuallyAsync("the last answers were counted", async () => await prometheus.CountAsync("sum(increase(vllm:request_success_total[1m])) > 2") == 1);

        var queries = Query.OfDashboards().Concat(Query.OfVariables()).Concat(Query.OfRules()).ToList();
        List<string> empty = [];
        foreach (var query in queries)
        {
            if (await prometheus.CountAsync(Filled(query.Expression)) == 0 && !query.Place.StartsWith("rules/", StringComparison.Ordinal))
                empty.Add(query.Place);
        }

        // Some panels show only what this machine or this minute has not: no CXL link, no tier but memory, no job.
        TestContext.Current.TestOutputHelper?.WriteLine($"{queries.Count} queries, without a series: {string.Join(", ", empty)}");
        Assert.True(empty.Count * 4 <= queries.Count, $"{empty.Count} of {queries.Count} queries found nothing: {string.Join(", ", empty)}");
    }

    /// <summary>Fills in what Grafana would.</summary>
    private static string Filled(string expression) => expression
        .Replace("$__rate_interval", "1m", StringComparison.Ordinal)
        .Replace("$namespace", ".*", StringComparison.Ordinal)
        .Replace("$model", ".*", StringComparison.Ordinal)
        .Replace("$pod", ".*", StringComparison.Ordinal);

    /// <summary>All ports of metrics of Moebius' pods, as the chart's monitors choose them.</summary>
    private async Task<List<ScrapeTarget>> TargetsAsync()
    {
        var pods = JsonNode.Parse((await cluster.KubectlAsync("get", "pods", "-A", "-l", "app.kubernetes.io/part-of=moebius", "-o", "json")).EnsureSuccess().StandardOutput)!["items"]!.AsArray();
        return
        [
            .. from pod in pods
               // One that a rollout before this test takes away answers no more.
               where NodeCluster.IsReady(pod) && pod!["metadata"]!["deletionTimestamp"] is null
               from container in pod["spec"]!["containers"]!.AsArray()
               from port in container!["ports"]?.AsArray() ?? []
               let http = (string?)pod["metadata"]!["labels"]!["app.kubernetes.io/component"] == "inference" ? "engine-metrics" : "http"
               where (string?)port!["name"] is "metrics" || (string?)port["name"] == http
               select new ScrapeTarget(
                   $"{pod["status"]!["podIP"]}:{port["containerPort"]}",
                   (string)pod["metadata"]!["namespace"]!,
                   (string)pod["metadata"]!["name"]!,
                   (string)pod["metadata"]!["labels"]!["app.kubernetes.io/instance"]!),
        ];
    }
}
