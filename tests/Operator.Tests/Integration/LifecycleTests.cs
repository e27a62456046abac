using System.Text.Json.Nodes;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Tests.Integration;

/// <summary>What happens to resources over the years: shared, renamed, upgraded, removed with their namespace.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class LifecycleTests(OperatorCluster cluster)
{
    [Fact]
    public async Task A_namespace_that_goes_is_let_go_without_a_fight()
    {
        var shop = await cluster.NamespaceAsync("going");
        await using var running = cluster.StartOperator();
        await cluster.ApplyAsync(FeatureTests.Deployment("model: {source: {hostPath: {path: /m}}}"), "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        // Somebody's finalizer holds the resource, and with it the namespace, while its children go.
        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"metadata":{"finalizers":["example.com/hold"]}}""")).EnsureSuccess();
        await Eventually.EqualAsync("1", () => cluster.GetAsync(shop, "moe/austen", ".status.observedGeneration"));
        var mark = await cluster.Audit.MarkAsync(TestContext.Current.CancellationToken);
        (await cluster.KubectlAsync("delete", "namespace", shop, "--wait=false")).EnsureSuccess();
        await Eventually.EqualAsync("", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        await Eventually.TrueAsync(async () => (await cluster.GetAsync(shop, "moe/austen", ".metadata.deletionTimestamp")).Length > 0);

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"metadata":{"finalizers":null}}""")).EnsureSuccess();
        await Eventually.EqualAsync("", () => cluster.GetAsync("default", $"namespace/{shop}", ".metadata.name"));
        // What goes may go before its owner does: each child may have been asked for again once or twice, not more.
        var writes = (await cluster.Audit.WritesSinceAsync(mark, "moebius-operator", TestContext.Current.CancellationToken)).Where(write => write.Namespace == shop).ToList();
        Assert.True(writes.Count <= 20, string.Join('\n', writes));
        Assert.False(running.Completion.IsCompleted);
    }

    [Fact]
    public async Task A_status_of_an_older_operator_is_brought_up_to_date()
    {
        var shop = await cluster.NamespaceAsync("upgraded");
        await using (cluster.StartOperator(shop))
        {
            await cluster.ApplyAsync(FeatureTests.Deployment("model: {source: {hostPath: {path: /m}}}"), "-n", shop);
            await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
        }

        const string Old = """{"status":{"conditions":[{"type":"Available","status":"True","reason":"Old","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"},{"type":"Ready","status":"False","reason":"Old","message":"of before","lastTransitionTime":"2020-01-01T00:00:00Z"}],"endpoint":"http://old","memory":{"source":"gone","denseBytes":1},"replicas":9}}""";
        using var view = new ClusterView(cluster);
        await view.Api.MergeAsync($"apis/moebius.dev/v1alpha1/namespaces/{shop}/moedeployments/austen/status", (JsonObject)JsonNode.Parse(Old)!, TestContext.Current.CancellationToken);
        await using var running = cluster.StartOperator(shop);
        await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
        Assert.Equal("2020-01-01T00:00:00Z", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "lastTransitionTime"));
        Assert.Equal("", await cluster.ConditionAsync(shop, "moe/austen", "Available"));
        Assert.Equal($"http://austen.{shop}.svc:8000/v1 0", await cluster.GetAsync(shop, "moe/austen", ".status.endpoint} {.status.replicas"));
    }

    [Fact]
    public async Task A_paused_resource_stays_ready_when_the_operator_is_upgraded_and_not_when_its_spec_changes()
    {
        var shop = await cluster.NamespaceAsync("paused-upgrade");
        await using (cluster.StartOperator(shop))
        {
            await cluster.ApplyAsync(FeatureTests.Deployment("model: {source: {hostPath: {path: /m}}}"), "-n", shop);
            await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
            await AnswerAsync(1);
            await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));
            (await cluster.KubectlAsync("annotate", "-n", shop, "moe/austen", "moebius.dev/paused=true")).EnsureSuccess();
            await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Paused"));
        }

        await using var newer = cluster.StartOperator(shop, configure: options => options with { Settings = options.Settings with { Image = "moebius-{component}:newer" } });
        await Eventually.EqualAsync("False Paused", () => cluster.GetAsync(shop, "moe/austen", ".status.conditions[?(@.type=='Progressing')].status} {.status.conditions[?(@.type=='Progressing')].reason"));
        Assert.Equal("True", await cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        Assert.Contains("1 of 1 pods answer; nothing is changed while the annotation moebius.dev/paused is \"true\", and Deployment 'austen' is not as planned", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message"), StringComparison.Ordinal);
        // Every look remembers: what changes meanwhile is told of the pods, not of the pause.
        const string Ready = ".status.conditions[?(@.type=='Ready')].status} {.status.conditions[?(@.type=='Ready')].reason";
        await AnswerAsync(0);
        await Eventually.EqualAsync("False ReplicasNotReady", () => cluster.GetAsync(shop, "moe/austen", Ready));
        await AnswerAsync(1);
        await Eventually.EqualAsync("True AllReplicasReady", () => cluster.GetAsync(shop, "moe/austen", Ready));

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"serving":{"maxBatchTokens":64}}}""")).EnsureSuccess();
        await Eventually.EqualAsync("False Paused", () => cluster.GetAsync(shop, "moe/austen", Ready));
        foreach (var pods in new[] { 0, 1 })
        {
            await AnswerAsync(pods);
            await Eventually.EqualAsync($"{pods}", () => cluster.GetAsync(shop, "moe/austen", ".status.readyReplicas"));
            Assert.Equal("False Paused", await cluster.GetAsync(shop, "moe/austen", Ready));
        }

        Task AnswerAsync(int pods) => cluster.PatchDeploymentStatusAsync(shop, "austen", $$$"""{"status":{"observedGeneration":GENERATION,"replicas":1,"updatedReplicas":1,"readyReplicas":{{{pods}}},"availableReplicas":{{{pods}}} }}""");
    }

    [Fact]
    public async Task A_policy_of_another_name_takes_over_and_one_that_goes_stops_nothing_that_runs()
    {
        var shop = await cluster.NamespaceAsync("renamed");
        await using var running = cluster.StartOperator(shop);
        static string Policy(string name) => $"{{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {{name: {name}}}, spec: {{mode: SafeKV}}}}";
        await cluster.ApplyAsync(Policy("strict"), "-n", shop);
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {persistentVolumeClaim: {claimName: models, path: austen}}}, kvCache: {policyRef: {name: strict}}}"), "-n", shop);
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {persistentVolumeClaim: {claimName: models, path: bronte}}}, kvCache: {policyRef: {name: strict}}}").Replace("austen}\nspec", "bronte}\nspec", StringComparison.Ordinal), "-n", shop);
        const string Mounted = ".spec.template.spec.volumes[?(@.name=='policy')].configMap.name} {.spec.template.spec.volumes[?(@.name=='model')].persistentVolumeClaim";
        foreach (var name in new[] { "austen", "bronte" })
            await Eventually.EqualAsync("""strict-policy {"claimName":"models","readOnly":true}""", () => cluster.GetAsync(shop, $"deployment/{name}", Mounted));
        await Eventually.EqualAsync("2", () => cluster.GetAsync(shop, "kvp/strict", ".status.userCount"));

        await cluster.ApplyAsync(Policy("stricter"), "-n", shop);
        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"kvCache":{"policyRef":{"name":"stricter"}}}}""")).EnsureSuccess();
        (await cluster.KubectlAsync("delete", "-n", shop, "kvp/strict")).EnsureSuccess();
        await Eventually.EqualAsync("""stricter-policy {"claimName":"models","readOnly":true}""", () => cluster.GetAsync(shop, "deployment/austen", Mounted));
        await Eventually.EqualAsync("PolicyNotFound", () => cluster.ConditionAsync(shop, "moe/bronte", "PolicyResolved", "reason"));
        Assert.Equal("True", await cluster.ConditionAsync(shop, "moe/austen", "PolicyResolved"));
        // It goes on with what it has; the name of its policy is in the condition.
        Assert.StartsWith("strict-policy", await cluster.GetAsync(shop, "deployment/bronte", Mounted), StringComparison.Ordinal);
        (await cluster.KubectlAsync("delete", "-n", shop, "moe/austen")).EnsureSuccess();
        await Eventually.EqualAsync("", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        Assert.Equal("bronte", await cluster.GetAsync(shop, "deployment/bronte", ".metadata.name"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_applied_has_no_difference_after_the_operator_has_worked_on_it(bool serverSide)
    {
        var shop = await cluster.NamespaceAsync(serverSide ? "diff-server" : "diff-client");
        await using var running = cluster.StartOperator();
        string[] how = serverSide ? ["--server-side"] : [];
        string[] files = [.. Directory.GetFiles(RepositoryFiles.At("samples"), "*.yaml")];
        foreach (var file in files)
        {
            (await cluster.KubectlAsync(["apply", .. how, "--validate=false", "-n", shop, "-f", file])).EnsureSuccess();
            await Eventually.TrueAsync(async () => (await cluster.KubectlAsync("get", "-n", shop, "-f", file, "-o", "jsonpath={range .items[*]}{.metadata.generation}={.status.observedGeneration} {end}{.metadata.generation}={.status.observedGeneration}")).StandardOutput
                .Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(pair => pair != "=").All(pair => pair.Split('=') is [var made, var seen] && made == seen));
            var difference = await cluster.KubectlAsync(["diff", .. how, "-n", shop, "-f", file]);
            Assert.True(difference.ExitCode == 0, difference.StandardOutput + difference.StandardError);
        }

        // A job waits for its optimizer, which does not run here.
        foreach (var kind in new[] { "popt", "msp" })
            (await cluster.KubectlAsync("delete", kind, "--all", "-n", shop, "--timeout=60s")).EnsureSuccess();
    }

    [Fact]
    public async Task A_template_is_merged_into_what_runs_and_what_it_may_not_touch_is_told()
    {
        var shop = await cluster.NamespaceAsync("templates");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}, podTemplate: {metadata: {labels: {team: a}}, spec: {hostAliases: [{ip: 10.0.0.1, hostnames: [store]}], containers: [{name: inference, env: [{name: TZ, value: UTC}]}, {name: proxy, image: 'envoy:1'}]}}}"), "-n", shop);
        const string Shown = ".spec.template.metadata.labels.team} {.spec.template.spec.hostAliases[0].hostnames[0]} {.spec.template.spec.containers[*].name} {.spec.template.spec.containers[?(@.name=='inference')].env[*].name";
        await Eventually.EqualAsync("a store kvcache inference proxy DOTNET_EnableDiagnostics TZ", () => cluster.GetAsync(shop, "deployment/austen", Shown));

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"podTemplate":{"spec":{"containers":[{"name":"inference","env":[{"$patch":"replace"}]}]}}}}""")).EnsureSuccess();
        await Eventually.EqualAsync(Reasons.InvalidSpec, () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
        Assert.StartsWith("spec.podTemplate.spec.containers[inference].env: must be a list of objects with a name", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message"), StringComparison.Ordinal);
        Assert.Equal("a store kvcache inference proxy DOTNET_EnableDiagnostics TZ", await cluster.GetAsync(shop, "deployment/austen", Shown));

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=json", "-p", """[{"op":"remove","path":"/spec/podTemplate"}]""")).EnsureSuccess();
        await Eventually.EqualAsync("  kvcache inference DOTNET_EnableDiagnostics", () => cluster.GetAsync(shop, "deployment/austen", Shown));
    }
}
