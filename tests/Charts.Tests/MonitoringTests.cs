using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Moebius.Charts.Tests;

/// <summary>Rules and dashboards ask for what the programs measure, in PromQL that Prometheus understands.</summary>
public sealed partial class MonitoringTests
{
    /// <summary>Labels that scraping adds.</summary>
    private static readonly string[] Scraped = ["namespace", "pod", "app_kubernetes_io_instance"];

    [Fact]
    public void Every_metric_of_a_query_is_one_that_the_programs_have()
    {
        var known = SourceMetrics.All.Keys.Concat(Query.Recorded()).ToHashSet(StringComparer.Ordinal);
        var queries = Query.OfRules().Concat(Query.OfDashboards()).Concat(Query.OfVariables()).ToList();

        Assert.True(queries.Count > 100, $"only {queries.Count} queries were found");
        Assert.All(queries, query => Assert.NotEmpty(Metric().Matches(query.Expression)));
        Assert.Empty(queries.SelectMany(query => Metric().Matches(query.Expression).Where(metric => !known.Contains(metric.Value)).Select(metric => $"{query.Place}: {metric.Value}")));
    }

    [Fact]
    public void Every_metric_that_a_page_names_is_one_that_the_programs_have()
    {
        var known = SourceMetrics.All.Keys.Concat(Query.Recorded()).ToHashSet(StringComparer.Ordinal);
        var named = Directory.EnumerateFiles(RepositoryFiles.At("docs"), "*.md", SearchOption.AllDirectories).Append(RepositoryFiles.At("README.md"))
            .SelectMany(page => Metric().Matches(File.ReadAllText(page)).Select(metric => (Page: Path.GetRelativePath(RepositoryFiles.Root, page), Name: metric.Value)))
            // Keys in a Redis server have colons too.
            .Where(metric => !metric.Name.StartsWith("moebius:kv:", StringComparison.Ordinal))
            .ToList();

        Assert.True(named.Count > 30, $"only {named.Count} names were found");
        // A page may give a histogram its plain name, and a family of metrics what their names begin with.
        Assert.DoesNotContain(named, metric => !known.Contains(metric.Name) && !known.Contains(metric.Name + "_bucket") && !(metric.Name.EndsWith('_') && known.Any(name => name.StartsWith(metric.Name, StringComparison.Ordinal))));
    }

    [Fact]
    public void Every_metric_that_the_programs_have_is_on_its_page()
    {
        var page = Metric().Matches(File.ReadAllText(RepositoryFiles.At("docs/metrics.md"))).Select(metric => metric.Value).ToHashSet(StringComparer.Ordinal);
        // The page gives a histogram its plain name.
        var histograms = SourceMetrics.All.Keys.Where(name => name.EndsWith("_bucket", StringComparison.Ordinal)).Select(name => name[..^"_bucket".Length]).ToHashSet(StringComparer.Ordinal);
        var others = SourceMetrics.All.Keys.Where(name => !histograms.Contains(name[..Math.Max(0, name.LastIndexOf('_'))]));

        Assert.True(page.Count > 100, $"only {page.Count} names were found");
        Assert.Empty(histograms.Concat(others).Except(page));
    }

    [Fact]
    public void Every_label_of_a_query_is_one_that_its_metrics_have()
    {
        foreach (var query in Query.OfRules().Concat(Query.OfDashboards()).Concat(Query.OfVariables()))
        {
            var labels = Metric().Matches(query.Expression)
                .SelectMany(metric => SourceMetrics.All.GetValueOrDefault(metric.Value) ?? (IEnumerable<string>)["model_name"])
                .Concat(Scraped)
                .ToHashSet(StringComparer.Ordinal);
            var used = Grouping().Matches(query.Expression).SelectMany(match => match.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
                .Concat(Matcher().Matches(query.Expression).Select(match => match.Groups[1].Value));
            Assert.All(used, label => Assert.True(labels.Contains(label), $"{query.Place}: no metric of it has the label '{label}'"));
        }
    }

    /// <summary>Labels of pods come along only where a monitor names them; Prometheus writes them with underscores.</summary>
    [Fact]
    public async Task The_PodMonitor_brings_the_labels_of_pods_along_that_queries_ask_for()
    {
        var monitors = (await Rendered.ChartAsync("--set", "metrics.podMonitor.enabled=true")).OfKind("PodMonitor").Select(monitor => monitor["spec"]!["podTargetLabels"]).OfType<JsonArray>().ToList();
        var taken = Assert.Single(monitors).Select(label => Regex.Replace((string)label!, "[^A-Za-z0-9_]", "_"));

        Assert.Empty(Scraped.Except(["namespace", "pod"]).Except(taken));
    }

    /// <summary>Without honorLabels, which no monitor here sets, Prometheus renames such a label to exported_X and writes its own.</summary>
    [Fact]
    public void No_metric_has_a_label_that_the_scrape_writes()
    {
        string[] written = ["namespace", "pod", "container", "job", "endpoint", "instance", "service"];

        Assert.Empty(SourceMetrics.All.SelectMany(metric => metric.Value.Intersect(written).Select(label => $"{metric.Key}{{{label}}}")));
    }

    [Fact]
    public async Task Prometheus_accepts_every_query_of_the_dashboards()
    {
        var rules = new JsonArray([.. Query.OfDashboards().Concat(Query.OfVariables()).Select((query, index) => (JsonNode)new JsonObject
        {
            ["record"] = $"dashboard:query_{index}",
            // Grafana fills in its variables.
            ["expr"] = query.Expression.Replace("$__rate_interval", "5m", StringComparison.Ordinal),
        })]);
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, new JsonObject { ["groups"] = new JsonArray(new JsonObject { ["name"] = "dashboards", ["rules"] = rules }) }.ToJsonString());

            var result = (await DebianTool.PromtoolAsync("check", "rules", file)).EnsureSuccess();

            Assert.Contains($"{rules.Count} rules found", result.StandardOutput, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Prometheus_accepts_the_rules() =>
        (await DebianTool.PromtoolAsync("check", "rules", RepositoryFiles.At("charts/moebius/rules/moebius.yaml"))).EnsureSuccess();

    [Fact]
    public async Task Alerts_fire_when_they_should_and_only_then() =>
        (await DebianTool.PromtoolAsync("test", "rules", RepositoryFiles.At("tests/Charts.Tests/Rules/moebius.test.yaml"))).EnsureSuccess();

    [Fact]
    public void Every_alert_is_tested_and_says_what_to_do()
    {
        var groups = Rendered.Parse(File.ReadAllText(RepositoryFiles.At("charts/moebius/rules/moebius.yaml"))).Objects[0]["groups"]!.AsArray();
        var tests = File.ReadAllText(RepositoryFiles.At("tests/Charts.Tests/Rules/moebius.test.yaml"));
        var alerts = groups.SelectMany(group => group!["rules"]!.AsArray()).Where(rule => rule!["alert"] is not null).ToList();

        Assert.NotEmpty(alerts);
        Assert.All(alerts, alert =>
        {
            Assert.Contains($"alertname: {alert!["alert"]}\n", tests, StringComparison.Ordinal);
            Assert.Contains((string?)alert["labels"]!["severity"], (string[])["critical", "warning", "info"]);
            Assert.NotNull((string?)alert["annotations"]!["summary"]);
            Assert.NotNull((string?)alert["annotations"]!["description"]);
        });
        var sections = RunbookSection().Matches(File.ReadAllText(RepositoryFiles.At("docs/alerts.md"))).Select(match => match.Groups[1].Value);
        Assert.Equal(alerts.Select(alert => (string)alert!["alert"]!), sections);
    }

    [Fact]
    public async Task Rules_are_shipped_as_they_are()
    {
        var shipped = (await Rendered.ChartAsync("--set", "prometheusRule.enabled=true,prometheusRule.labels.release=prometheus")).OfKind("PrometheusRule").Single();

        Assert.True(JsonNode.DeepEquals(Rendered.Parse(File.ReadAllText(RepositoryFiles.At("charts/moebius/rules/moebius.yaml"))).Objects[0], shipped["spec"]));
        Assert.Equal("prometheus", (string?)shipped["metadata"]!["labels"]!["release"]);
    }

    [Fact]
    public async Task Alerts_link_to_their_sections_of_the_page_that_the_values_name_and_are_otherwise_as_they_are()
    {
        const string Page = "https://git.example/moebius/docs/alerts.md";
        var shipped = (await Rendered.ChartAsync("--set", $"prometheusRule.enabled=true,prometheusRule.runbookUrl={Page}")).OfKind("PrometheusRule").Single();
        var alerts = shipped["spec"]!["groups"]!.AsArray().SelectMany(group => group!["rules"]!.AsArray()).Where(rule => rule!["alert"] is not null).ToList();

        Assert.NotEmpty(alerts);
        foreach (var alert in alerts)
        {
            Assert.Equal($"{Page}#{((string)alert!["alert"]!).ToLowerInvariant()}", (string?)alert["annotations"]!["runbook_url"]);
            alert["annotations"]!.AsObject().Remove("runbook_url");
        }

        Assert.True(JsonNode.DeepEquals(Rendered.Parse(File.ReadAllText(RepositoryFiles.At("charts/moebius/rules/moebius.yaml"))).Objects[0], shipped["spec"]));
    }

    [Fact]
    public async Task Dashboards_are_shipped_as_they_are()
    {
        var maps = (await Rendered.ChartAsync("--set", "dashboards.enabled=true,dashboards.namespace=grafana,dashboards.annotations.folder=Moebius")).All<k8s.Models.V1ConfigMap>().ToList();

        Assert.Equal(Query.DashboardFiles().Select(Path.GetFileName), maps.SelectMany(map => map.Data.Keys));
        foreach (var (file, map) in Query.DashboardFiles().Zip(maps))
        {
            Assert.Equal("grafana", map.Metadata.NamespaceProperty);
            Assert.Equal("1", map.Metadata.Labels["grafana_dashboard"]);
            Assert.Equal("Moebius", map.Metadata.Annotations["folder"]);
            Assert.True(JsonNode.DeepEquals(Query.Dashboard(file), JsonNode.Parse(map.Data[Path.GetFileName(file)])));
        }
    }

    [Fact]
    public void Dashboards_have_distinct_names_and_panels_that_do_not_overlap()
    {
        var dashboards = Query.DashboardFiles().Select(Query.Dashboard).ToList();

        Assert.Equal(dashboards.Count, dashboards.Select(one => (string)one["uid"]!).Distinct().Count());
        Assert.All(dashboards, dashboard =>
        {
            var panels = dashboard["panels"]!.AsArray();
            Assert.Equal(panels.Count, panels.Select(panel => (int)panel!["id"]!).Distinct().Count());
            var cells = panels.SelectMany(panel => Cells(panel!["gridPos"]!)).ToList();
            Assert.Equal(cells.Count, cells.Distinct().Count());
            Assert.All(cells, cell => Assert.InRange(cell.X, 0, 23));
        });

        static IEnumerable<(int X, int Y)> Cells(JsonNode at) =>
            from x in Enumerable.Range((int)at["x"]!, (int)at["w"]!)
            from y in Enumerable.Range((int)at["y"]!, (int)at["h"]!)
            select (x, y);
    }

    /// <summary>A heading with text below it.</summary>
    [GeneratedRegex(@"^### (\w+)\n\n(?=[^#\s])", RegexOptions.Multiline)]
    private static partial Regex RunbookSection();

    [GeneratedRegex(@"\b(vllm:|moebius[:_]|workqueue_)[a-z0-9_:]+")]
    private static partial Regex Metric();

    [GeneratedRegex(@"\b(?:by|on) \(([^)]*)\)")]
    private static partial Regex Grouping();

    [GeneratedRegex("([a-z_]+)(?:=~|!=|=)\"")]
    private static partial Regex Matcher();
}
