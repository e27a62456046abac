using System.Diagnostics;
using System.Text.Json.Nodes;
using Moebius.KubernetesEnvironment;

namespace Moebius.Cluster.Tests;

/// <summary>What Prometheus reads from, with the labels that the chart's monitors attach.</summary>
internal sealed record ScrapeTarget(string Address, string Namespace, string Pod, string Instance);

/// <summary>A real Prometheus that reads from given targets once a second.</summary>
internal sealed class PrometheusServer : IAsyncDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("moebius-prometheus-");
    private readonly Process _process;
    private readonly HttpClient _client;

    private PrometheusServer(string program, IEnumerable<ScrapeTarget> targets)
    {
        var configuration = Path.Combine(_folder.FullName, "prometheus.json");
        File.WriteAllText(configuration, Configuration(targets));
        var port = LoopbackPorts.Take();
        _process = Process.Start(new ProcessStartInfo(program, [$"--config.file={configuration}", $"--storage.tsdb.path={_folder.FullName}/data", $"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]))!;
        _client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}/api/v1/") };
    }

    public static async Task<PrometheusServer> StartAsync(IEnumerable<ScrapeTarget> targets) =>
        new(await DebianTool.LocateAsync("prometheus", "prometheus"), targets);

    /// <summary>What is wrong with the targets: an empty list when each was read at least once, without an error.</summary>
    public async Task<IReadOnlyList<string>> UnreadAsync()
    {
        try
        {
            var targets = JsonNode.Parse(await _client.GetStringAsync("targets?state=active"))!["data"]!["activeTargets"]!.AsArray();
            return targets.Count == 0 ? ["no target yet"] : [.. targets.Where(target => (string?)target!["health"] != "up").Select(target => $"{target!["scrapeUrl"]}: {target["health"]} {target["lastError"]}")];
        }
        catch (HttpRequestException error)
        {
            return [error.Message];
        }
    }

    /// <summary>The number of series that a query gives.</summary>
    /// <exception cref="Xunit.Sdk.XunitException">Prometheus refused it.</exception>
    public async Task<int> CountAsync(string query)
    {
        using var response = await _client.PostAsync("query", new FormUrlEncodedContent([KeyValuePair.Create("query", query)]));
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        Assert.True((string?)answer["status"] == "success", $"{query}: {answer["error"]}");
        // A scalar and a vector: both are lists of results here.
        return answer["data"]!["result"]!.AsArray().Count;
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _client.Dispose();
        _folder.Delete(recursive: true);
    }

    private static string Configuration(IEnumerable<ScrapeTarget> targets) => new JsonObject
    {
        ["global"] = new JsonObject { ["scrape_interval"] = "1s", ["evaluation_interval"] = "1s" },
        ["rule_files"] = new JsonArray(RepositoryFiles.At("charts/moebius/rules/moebius.yaml")),
        ["scrape_configs"] = new JsonArray(new JsonObject
        {
            ["job_name"] = "moebius",
            ["static_configs"] = new JsonArray([.. targets.Select(target => new JsonObject
            {
                ["targets"] = new JsonArray(target.Address),
                ["labels"] = new JsonObject { ["namespace"] = target.Namespace, ["pod"] = target.Pod, ["app_kubernetes_io_instance"] = target.Instance },
            })]),
        }),
    }.ToJsonString();
}
