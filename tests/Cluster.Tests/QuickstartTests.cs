using System.Text.Json.Nodes;

namespace Moebius.Cluster.Tests;

/// <summary>The quickstart on a real node: it answers, and goes on answering when its parts die or change.</summary>
[Trait("Category", "Node")]
[Collection(NodeTests.Name)]
public sealed class QuickstartTests(NodeCluster cluster) : IAsyncLifetime
{
    private const string Inference = "app.kubernetes.io/component=inference";
    private const string Question = "What did Mr. Bennet say to his wife?";

    /// <summary>Each test begins with a model that serves.</summary>
    public async ValueTask InitializeAsync()
    {
        await cluster.EventuallyAsync("the model is ready", () => cluster.IsReadyAsync("moedeployment", "austen"));
        await cluster.EventuallyAsync("one inference pod is left", async () => await InferencePodAsync() is not null);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task Every_resource_of_the_quickstart_becomes_ready()
    {
        await cluster.EventuallyAsync("the policy is ready", () => cluster.IsReadyAsync("kvprivacypolicy", "quickstart"));
        await cluster.EventuallyAsync("the profile is ready", () => cluster.IsReadyAsync("memoryschedulingprofile", "quickstart"));
        await cluster.EventuallyAsync("the optimizer is ready", () => cluster.IsReadyAsync("promptoptimizer", "sculptor"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Applied_file_has_no_difference_while_the_operator_works(bool serverSide)
    {
        string[] how = serverSide ? ["--server-side", "--force-conflicts"] : [];
        string[] file = ["-f", RepositoryFiles.At("samples/quickstart.yaml")];
        (await cluster.KubectlAsync(["apply", "--validate=false", .. how, .. file])).EnsureSuccess();
        await cluster.EventuallyAsync("the model is ready", () => cluster.IsReadyAsync("moedeployment", "austen"));

        var difference = await cluster.KubectlAsync(["diff", .. how, .. file]);

        Assert.True(difference.ExitCode == 0, difference.StandardOutput + difference.StandardError);
    }

    [Fact]
    public async Task Release_passes_its_own_test()
    {
        var test = await cluster.HelmAsync(["test", "moebius", "-n", NodeCluster.OperatorNamespace, "--logs"], null);

        Assert.True(test.ExitCode == 0, test.StandardOutput + test.StandardError);
        Assert.Contains("moedeployments: served and readable", test.StandardOutput, StringComparison.Ordinal);
        Assert.Contains(" leads", test.StandardOutput, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Each_part_runs_its_own_image_as_a_user_without_rights()
    {
        var inference = (await InferencePodAsync())!;

        Assert.Equal(["moebius-inference:0.1.0", "moebius-kvcache:0.1.0"], Images(inference).Order(StringComparer.Ordinal));
        Assert.Equal(65532, (long?)inference["spec"]!["securityContext"]!["runAsUser"]);
        await cluster.EventuallyAsync("an agent runs", async () => (await AgentAsync()) is { } agent && Images(agent).SequenceEqual(["moebius-node-agent:0.1.0"]));
        Assert.All(await cluster.PodsAsync(NodeCluster.OperatorNamespace, "app.kubernetes.io/name=moebius-operator"), pod => Assert.Equal(["moebius-operator:0.1.0"], Images(pod)));
    }

    [Fact]
    public async Task Chat_is_answered_and_the_same_question_has_the_same_answer()
    {
        using var chat = await cluster.ChatAsync();

        var answer = await chat.AskAsync(Question);

        Assert.NotEqual("", answer.Trim());
        Assert.Equal(answer, await chat.AskAsync(Question));
        Assert.Equal(answer, await chat.StreamAsync(Question, CancellationToken.None));
    }

    [Fact]
    public async Task Killed_pod_is_replaced_and_answers_as_before()
    {
        using var chat = await cluster.ChatAsync();
        var answer = await chat.AskAsync(Question);
        var before = (string)(await InferencePodAsync())!["metadata"]!["name"]!;

        (await cluster.KubectlAsync("delete", "pod", before, "-n", "default", "--grace-period=0", "--force")).EnsureSuccess();

        await cluster.EventuallyAsync("another pod is ready", async () => await InferencePodAsync() is { } pod && (string?)pod["metadata"]!["name"] != before);
        await AnswersAsync(chat, answer);
    }

    [Fact]
    public async Task Killed_engine_is_started_again_in_its_pod()
    {
        using var chat = await cluster.ChatAsync();
        var answer = await chat.AskAsync(Question);
        var pod = (await InferencePodAsync())!;
        var restarts = Restarts(pod, "inference");

        await KillAsync(pod, "inference");

        await cluster.EventuallyAsync("the engine is started again", async () => await InferencePodAsync() is { } now && Restarts(now, "inference") > restarts);
        Assert.Equal((string?)pod["metadata"]!["uid"], (string?)(await InferencePodAsync())?["metadata"]!["uid"]);
        await AnswersAsync(chat, answer);
    }

    [Fact]
    public async Task Killed_node_agent_is_started_again_and_disturbs_nobody()
    {
        await cluster.EventuallyAsync("an agent is ready", async () => NodeCluster.IsReady(await AgentAsync()));
        var agent = (await AgentAsync())!;
        using var chat = await cluster.ChatAsync();
        var answer = await chat.AskAsync(Question);

        await KillAsync(agent, "agent");

        Assert.Equal(answer, await chat.AskAsync(Question));
        await cluster.EventuallyAsync("the agent is started again", async () => await AgentAsync() is { } now && Restarts(now, "agent") > Restarts(agent, "agent") && NodeCluster.IsReady(now));
        await cluster.EventuallyAsync("the profile is ready again", () => cluster.IsReadyAsync("memoryschedulingprofile", "quickstart"));
    }

    [Fact]
    public async Task Changed_policy_reaches_the_cache_without_a_new_pod()
    {
        var pod = (await InferencePodAsync())!;
        var address = $"http://{(string)pod["status"]!["podIP"]!}:9401/metrics";
        (await cluster.KubectlAsync("patch", "kvprivacypolicy", "quickstart", "-n", "default", "--type=merge", "-p", """{"spec":{"publicPrefixes":[{"name":"house-style","text":"You are reading aloud in the garden.\n"}]}}""")).EnsureSuccess();
        var generation = (long)(await cluster.GetAsync("default", "kvprivacypolicy", "quickstart"))!["metadata"]!["generation"]!;
        Assert.True(generation > 1);

        using var client = new HttpClient();
        await cluster.EventuallyAsync("the cache has taken up the policy", async () => (await client.GetStringAsync(address)).Contains($"moebius_kvcache_policy_generation {generation}\n", StringComparison.Ordinal));

        var after = (await InferencePodAsync())!;
        Assert.Equal((string?)pod["metadata"]!["uid"], (string?)after["metadata"]!["uid"]);
        Assert.Equal(Restarts(pod, "inference") + Restarts(pod, "kvcache"), Restarts(after, "inference") + Restarts(after, "kvcache"));
    }

    [Fact]
    public async Task Rolling_update_under_load_drops_no_stream()
    {
        using var chat = await cluster.ChatAsync();
        var answer = await chat.AskAsync(Question);
        var before = (string)(await InferencePodAsync())!["metadata"]!["name"]!;
        using var stop = new CancellationTokenSource();
        var load = Enumerable.Range(0, 3).Select(_ => LoadAsync(chat, answer, stop.Token)).ToList();

        (await cluster.KubectlAsync("patch", "moedeployment", "austen", "-n", "default", "--type=merge", "-p", """{"spec":{"serving":{"maxConcurrentSequences":6}}}""")).EnsureSuccess();
        await cluster.EventuallyAsync("the old pod is gone and the new one serves", async () =>
            await InferencePodAsync() is { } pod && (string?)pod["metadata"]!["name"] != before
            && await cluster.GetAsync("default", "pod", before) is null && await cluster.IsReadyAsync("moedeployment", "austen"));

        await stop.CancelAsync();
        var results = await Task.WhenAll(load);
        Assert.Empty(results.SelectMany(result => result.Failures));
        Assert.All(results, result => Assert.True(result.Streams > 0, "a client had no answer at all"));
    }

    [Fact]
    public async Task Killed_leader_is_replaced_and_changes_go_on_being_made()
    {
        var lease = await cluster.GetAsync(NodeCluster.AgentNamespace, "lease", "-l", "");
        var holder = (string)lease!["items"]![0]!["spec"]!["holderIdentity"]!;
        var leader = (await cluster.PodsAsync(NodeCluster.OperatorNamespace, "app.kubernetes.io/name=moebius-operator")).Single(pod => holder.StartsWith((string)pod["metadata"]!["name"]!, StringComparison.Ordinal));

        (await cluster.KubectlAsync("delete", "pod", (string)leader["metadata"]!["name"]!, "-n", NodeCluster.OperatorNamespace, "--grace-period=0", "--force")).EnsureSuccess();
        (await cluster.KubectlAsync("delete", "service", "austen", "-n", "default")).EnsureSuccess();

        await cluster.EventuallyAsync("the Service is made again", async () => await cluster.GetAsync("default", "service", "austen") is not null);
        await cluster.EventuallyAsync("two operators are ready", async () => (await cluster.PodsAsync(NodeCluster.OperatorNamespace, "app.kubernetes.io/name=moebius-operator")).Count(pod => NodeCluster.IsReady(pod)) == 2);
    }

    private static async Task<(int Streams, IReadOnlyList<string> Failures)> LoadAsync(ChatClient chat, string expected, CancellationToken stop)
    {
        var streams = 0;
        List<string> failures = [];
        while (!stop.IsCancellationRequested)
        {
            try
            {
                // A stream that has begun is read to its end.
                var answer = await chat.StreamAsync(Question, CancellationToken.None);
                if (answer != expected)
                    failures.Add($"another answer: {answer}");
                streams++;
            }
            catch (Exception error) when (error is HttpRequestException or IOException or InvalidDataException)
            {
                failures.Add(error.Message);
            }
        }

        return (streams, failures);
    }

    private async Task AnswersAsync(ChatClient chat, string expected) => await cluster.EventuallyAsync("the model answers as before", async () =>
    {
        try
        {
            Assert.Equal(expected, await chat.AskAsync(Question));
            return true;
        }
        catch (HttpRequestException)
        {
            return false; // the Service does not know the new pod yet
        }
    });

    /// <summary>The inference pod, when there is exactly one and it is ready.</summary>
    private async Task<JsonNode?> InferencePodAsync() =>
        await cluster.PodsAsync("default", Inference) is [var pod] && NodeCluster.IsReady(pod) ? pod : null;

    private async Task<JsonNode?> AgentAsync() => await cluster.PodsAsync(NodeCluster.AgentNamespace, "app.kubernetes.io/component=node-agent") is [var pod] ? pod : null;

    private static IEnumerable<string> Images(JsonNode pod) => pod["spec"]!["containers"]!.AsArray().Select(container => (string)container!["image"]!);

    private static JsonNode? Status(JsonNode pod, string container) => pod["status"]!["containerStatuses"]?.AsArray().FirstOrDefault(status => (string?)status!["name"] == container);

    private static int Restarts(JsonNode pod, string container) => (int?)Status(pod, container)?["restartCount"] ?? 0;

    /// <summary>Ends a container's process as a crash would.</summary>
    private async Task KillAsync(JsonNode pod, string container)
    {
        var id = ((string)Status(pod, container)!["containerID"]!)["containerd://".Length..];
        (await cluster.Node.CtrAsync("tasks", "kill", "--signal", "SIGKILL", id)).EnsureSuccess();
    }
}
