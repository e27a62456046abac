using System.CommandLine;
using System.Text.Json.Nodes;
using Moebius.Cxl;
using Moebius.KubernetesEnvironment;

namespace Moebius.Charts.Tests.Cluster;

/// <summary>The node agent does with the chart's rights what it needs the API server for.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class NodeAgentRightsTests(ChartCluster cluster) : IAsyncLifetime
{
    private const string Node = "node-7";
    private const string Agents = "moebius-node-agents";
    private const string Account = $"system:serviceaccount:{Agents}:cxl";
    private readonly string _folder = Directory.CreateTempSubdirectory("moebius-agent-").FullName;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        await cluster.ClearAsync();
    }

    [Fact]
    public async Task Agent_lists_pods_and_tells_of_its_node()
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.InstallOperatorAsync()).EnsureSuccess();
        (await cluster.KubectlAsync(["apply", "-f", "-"], $$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"{{Node}}"} }""")).EnsureSuccess();
        var memory = Directory.CreateDirectory(Path.Combine(_folder, "devices/system/node/node0")).FullName;
        await File.WriteAllTextAsync(Path.Combine(memory, "cpulist"), "0\n");
        await File.WriteAllTextAsync(Path.Combine(memory, "meminfo"), "Node 0 MemTotal:       1048576 kB\n");
        var listen = $"127.0.0.1:{LoopbackPorts.Take()}";
        var program = new RootCommand();
        foreach (var command in CxlCommands.Create())
            program.Add(command);
        using var stop = new CancellationTokenSource();
        var running = program.Parse(
        [
            "cxl", "agent", "--sysfs", _folder, "--state", Path.Combine(_folder, "state"), "--listen", listen, "--node-name", Node,
            "--kubeconfig", cluster.CreateKubeconfig(Account, "system:serviceaccounts", $"system:serviceaccounts:{Agents}"),
        ]).InvokeAsync(cancellationToken: stop.Token);
        try
        {
            using var http = new HttpClient { BaseAddress = new Uri($"http://{listen}/") };
            JsonArray events = [];
            await Eventually.TrueAsync(async () =>
            {
                Assert.False(running.IsCompleted, "the agent has ended");
                var answer = await cluster.KubectlAsync("get", "events", "-n", "default", "--field-selector", $"involvedObject.name={Node}", "-o", "json");
                events = JsonNode.Parse(answer.EnsureSuccess().StandardOutput)!["items"]!.AsArray();
                return events.Count >= 2;
            });
            Assert.Contains("LevelChosen", (await cluster.KubectlAsync("describe", "node", Node)).EnsureSuccess().StandardOutput, StringComparison.Ordinal);
            var chosen = events.Single(one => (string?)one!["reason"] == "LevelChosen")!;
            Assert.Equal(("Normal", "Node", "moebius-node-agent"), ((string?)chosen["type"], (string?)chosen["involvedObject"]!["kind"], (string?)chosen["source"]!["component"]));
            // Its sysfs has one node of memory and nothing else.
            Assert.Equal("Warning", (string?)events.Single(one => (string?)one!["reason"] is "BtfMissing" or "BPFObjectMissing")!["type"]);
            await Eventually.TrueAsync(async () => !Warnings(await http.GetStringAsync("status")).Any(warning => warning.StartsWith("pods:", StringComparison.Ordinal) || warning.StartsWith("events:", StringComparison.Ordinal)));
        }
        finally
        {
            await stop.CancelAsync();
            Assert.Equal(0, await running);
        }
    }

    [Fact]
    public async Task Agent_may_do_no_more_than_it_needs()
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.InstallOperatorAsync()).EnsureSuccess();

        foreach (var allowed in (string[])["list pods default", "list namespaces default", "create events default"])
            Assert.True(await MayAsync(allowed), allowed);
        foreach (var forbidden in (string[])["create events kube-system", "patch events default", "get pods default", "delete pods default", $"get secrets {Agents}", "get nodes default", "patch memoryschedulingprofiles.moebius.dev default"])
            Assert.False(await MayAsync(forbidden), forbidden);

        async Task<bool> MayAsync(string question)
        {
            var (verb, resource, @namespace) = question.Split(' ') switch { var parts => (parts[0], parts[1], parts[2]) };
            var answer = await cluster.KubectlAsync("auth", "can-i", verb, resource, "-n", @namespace, $"--as={Account}", "--as-group=system:serviceaccounts", $"--as-group=system:serviceaccounts:{Agents}");
            return answer.StandardOutput.Trim().Split('\n')[^1] switch { "yes" => true, "no" => false, var other => throw new InvalidOperationException(other + answer.StandardError) };
        }
    }

    private static IEnumerable<string> Warnings(string status) => JsonNode.Parse(status)!["warnings"]!.AsArray().Select(warning => (string)warning!);
}
