using System.Text.Json.Nodes;

namespace Moebius.Operator.Tests.Integration;

/// <summary>PromptOptimizationJobs on a real API server. There is no cluster DNS, so the service's side is played here.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class JobTests(OperatorCluster cluster)
{
    private const string Job = """
        apiVersion: moebius.dev/v1alpha1
        kind: PromptOptimizationJob
        metadata: {name: sketches}
        spec:
          optimizerRef: {name: sculptor}
          prompts: [a cat, a dog]
          dialects: [Flux]
        """;

    private const string Optimizer = """
        apiVersion: moebius.dev/v1alpha1
        kind: PromptOptimizer
        metadata: {name: sculptor}
        spec: {languageModel: {endpoint: {url: 'http://model/v1', model: m}}}
        """;

    [Fact]
    public async Task Prompts_are_handed_in_once_followed_and_their_results_shown()
    {
        var shop = await cluster.NamespaceAsync("jobs");
        using var service = new PlayedService();
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Job, "-n", shop);
        await Eventually.EqualAsync("OptimizerNotFound", () => cluster.ConditionAsync(shop, "pojob/sketches", "Accepted", "reason"));

        await cluster.ApplyAsync(Optimizer, "-n", shop);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", "Accepted"));
        Assert.Equal("sculptor-optimizer.jobs.svc:8080", Assert.Single(service.Hosts.Distinct()));
        await Eventually.EqualAsync("False JobRunning", async () => $"{await cluster.ConditionAsync(shop, "pojob/sketches", "Complete")} {await cluster.ConditionAsync(shop, "pojob/sketches", "Complete", "reason")}");

        service.State = "Succeeded";
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", "Complete"));
        Assert.Equal("better a dog", await cluster.GetAsync(shop, "pojob/sketches", ".status.results[1].prompt"));
        Assert.Equal("90", await cluster.GetAsync(shop, "pojob/sketches", ".status.scorePercent"));
        Assert.Equal(2, service.Jobs.Count);
        Assert.Equal(2, service.Prompts.Count);
        (await cluster.KubectlAsync("delete", "-n", shop, "pojob/sketches", "--timeout=5m")).EnsureSuccess();
        Assert.Empty(service.Prompts);
    }

    [Fact]
    public async Task A_limit_that_a_job_does_not_name_is_the_optimizers()
    {
        var shop = await cluster.NamespaceAsync("budgets");
        using var service = new PlayedService();
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer, "-n", shop);
        foreach (var (name, budget) in new[] { ("some", "budget: {rounds: 5, tokens: 10000}"), ("all", "budget: {rounds: 1, tokens: 2, images: 0, deadline: 5m}"), ("none", "budget: {}") })
            await cluster.ApplyAsync(Job.Replace("sketches", name, StringComparison.Ordinal).Replace("[a cat, a dog]", $"[{name}]", StringComparison.Ordinal) + $"\n  {budget}\n", "-n", shop);
        await Eventually.EqualAsync(3, () => Task.FromResult(service.Budgets.Count));
        Assert.Equal("""{"rounds":5,"tokens":10000}""", service.Budgets["some"]);
        Assert.Equal("""{"rounds":1,"tokens":2,"images":0,"deadline":"5m"}""", service.Budgets["all"]);
        Assert.Equal("{}", service.Budgets["none"]);
    }

    [Fact]
    public async Task Results_too_large_for_a_status_are_in_a_ConfigMap_that_goes_with_the_job()
    {
        var shop = await cluster.NamespaceAsync("large");
        using var service = new PlayedService { State = "Succeeded", Better = new string('x', 200_000) };
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer + "\n---\n" + Job, "-n", shop);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", "Complete"));
        Assert.Equal("sketches-results", await cluster.GetAsync(shop, "pojob/sketches", ".status.resultConfigMapRef.name"));
        Assert.Equal("", await cluster.GetAsync(shop, "pojob/sketches", ".status.results"));
        Assert.EndsWith(" a dog", (string?)JsonNode.Parse(await cluster.GetAsync(shop, "cm/sketches-results", ".data.1\\.json"))!["prompt"], StringComparison.Ordinal);
        Assert.Equal("PromptOptimizationJob sketches", await cluster.GetAsync(shop, "cm/sketches-results", ".metadata.ownerReferences[0].kind") + " " + await cluster.GetAsync(shop, "cm/sketches-results", ".metadata.ownerReferences[0].name"));
    }

    [Fact]
    public async Task Deleting_a_job_cancels_it_and_removes_its_prompts()
    {
        var shop = await cluster.NamespaceAsync("cancel");
        using var service = new PlayedService();
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer + "\n---\n" + Job, "-n", shop);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", "Accepted"));
        (await cluster.KubectlAsync("delete", "-n", shop, "pojob/sketches", "--timeout=5m")).EnsureSuccess();
        Assert.Equal(service.Jobs.Values.Order(), service.Cancelled.Order());
        Assert.Empty(service.Prompts);
    }

    [Fact]
    public async Task A_job_waits_for_its_service_and_goes_without_its_optimizer()
    {
        var shop = await cluster.NamespaceAsync("purge");
        using var service = new PlayedService();
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer + "\n---\n" + Job, "-n", shop);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", "Accepted"));
        service.Down = true;
        (await cluster.KubectlAsync("delete", "-n", shop, "pojob/sketches", "--wait=false")).EnsureSuccess();
        var asked = service.Hosts.Count;
        await Eventually.TrueAsync(() => Task.FromResult(service.Hosts.Count > asked + 1));
        Assert.Equal("sketches", await cluster.GetAsync(shop, "pojob/sketches", ".metadata.name"));
        (await cluster.KubectlAsync("delete", "-n", shop, "popt/sculptor")).EnsureSuccess();
        (await cluster.KubectlAsync("wait", "-n", shop, "pojob/sketches", "--for=delete", "--timeout=5m")).EnsureSuccess();
        await Eventually.TrueAsync(async () => (await cluster.GetAsync(shop, "events", ".items[?(@.reason=='PromptsNotRemoved')].message"))
            .StartsWith("PromptOptimizer 'sculptor' is gone: the prompts are in its volume, if that is kept (PersistentVolumeClaim 'sculptor-optimizer-data')", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Succeeded", false)]
    [InlineData("Failed", false)]
    [InlineData("Running", true)]
    public async Task A_job_that_has_ended_goes_when_its_time_is_over_however_it_ended(string state, bool refuses)
    {
        var shop = await cluster.NamespaceAsync($"ttl-{state.ToLowerInvariant()}");
        using var service = new PlayedService { State = state, Refuses = refuses };
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer + "\n---\n" + Job + "\n  ttlAfterFinished: 1h\n", "-n", shop);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", state == "Succeeded" ? "Complete" : "Failed"));
        Assert.NotEqual("", await cluster.GetAsync(shop, "pojob/sketches", ".status.completionTime"));
        (await cluster.KubectlAsync("delete", "-n", shop, "pojob/sketches", "--timeout=5m")).EnsureSuccess();

        await cluster.ApplyAsync(Job + "\n  ttlAfterFinished: 1s\n", "-n", shop);
        (await cluster.KubectlAsync("wait", "-n", shop, "pojob/sketches", "--for=delete", "--timeout=5m")).EnsureSuccess();
        Assert.Empty(service.Prompts);
    }

    /// <summary>Those who may read events are not those who may read jobs.</summary>
    [Fact]
    public async Task What_an_endpoint_says_of_a_prompt_is_told_in_the_job_and_in_no_event()
    {
        var shop = await cluster.NamespaceAsync("quotes");
        using var service = new PlayedService { State = "Failed" };
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer + "\n---\n" + Job, "-n", shop);
        await Eventually.EqualAsync("prompt 0: ModelRejected: languageModel: HTTP 400: our rules forbid: a cat", () => cluster.ConditionAsync(shop, "pojob/sketches", "Failed", "message"));
        await Eventually.EqualAsync("prompt 0: ModelRejected: status.conditions of the job has the message", () => cluster.GetAsync(shop, "events", ".items[?(@.reason=='JobFailed')].message"));
        Assert.DoesNotContain("a cat", await cluster.GetAsync(shop, "events", ".items[*].message"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_prompt_that_the_service_refuses_is_named()
    {
        var shop = await cluster.NamespaceAsync("refused-prompt");
        using var service = new PlayedService { Refused = "a dog" };
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer + "\n---\n" + Job, "-n", shop);
        await Eventually.EqualAsync("spec.prompts[1]: prompt: is blank: say what the image should show", () => cluster.ConditionAsync(shop, "pojob/sketches", "Failed", "message"));
    }

    [Fact]
    public async Task A_paused_job_is_not_handed_in_and_says_so()
    {
        var shop = await cluster.NamespaceAsync("pausedjobs");
        using var service = new PlayedService();
        await using var running = cluster.StartOperator(shop, service: service);
        await cluster.ApplyAsync(Optimizer + "\n---\n" + Job.Replace("{name: sketches}", "{name: sketches, annotations: {moebius.dev/paused: 'true'}}", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", "Paused"));
        Assert.Empty(service.Prompts);
        (await cluster.KubectlAsync("annotate", "-n", shop, "pojob/sketches", "moebius.dev/paused=no", "--overwrite")).EnsureSuccess();
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "pojob/sketches", "Accepted"));
        Assert.Equal("False InvalidSpec", await cluster.ConditionAsync(shop, "pojob/sketches", "Paused") + " " + await cluster.ConditionAsync(shop, "pojob/sketches", "Paused", "reason"));
        (await cluster.KubectlAsync("annotate", "-n", shop, "pojob/sketches", "moebius.dev/paused-")).EnsureSuccess();
        await Eventually.EqualAsync("", () => cluster.ConditionAsync(shop, "pojob/sketches", "Paused"));
    }
}
