using System.Text.Json.Nodes;
using Moebius.Crds.Sizing;
using Moebius.KubernetesEnvironment;

namespace Moebius.Operator.Tests.Integration;

/// <summary>What a platform engineer meets first, on a real API server.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class FeatureTests(OperatorCluster cluster)
{
    internal static string Deployment(string spec) => $$"""
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: austen}
        spec:
          {{spec}}
        """;

    private static readonly string Local = Deployment("model: {source: {hostPath: {path: /models/austen}}}");

    [Fact]
    public async Task A_remote_model_is_fetched_measured_and_then_served()
    {
        var shop = await cluster.NamespaceAsync("remote");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Deployment("{model: {source: {s3: {uri: 's3://models/austen'}, store: {size: 1Gi}}}, resources: {limits: {memory: 4Gi}}, experts: {fastMemory: 1Gi}}"), "-n", shop);
        await Eventually.EqualAsync("Fetching", () => cluster.ConditionAsync(shop, "moe/austen", "ModelFetched", "reason"));
        var job = await cluster.GetAsync(shop, "jobs", ".items[0].metadata.name");
        Assert.Equal("", await cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        Assert.Equal("austen-model", await cluster.GetAsync(shop, "pvc", ".items[0].metadata.name"));

        // What the job controller and the kubelet would say.
        var source = await cluster.GetAsync(shop, $"job/{job}", @".spec.template.metadata.annotations.moebius\.dev/model-source");
        await FinishAsync(shop, job, source, new ModelFacts(2L << 30, 16L << 30, 64L << 20, 4096));
        await Eventually.EqualAsync("InsufficientMemory", () => cluster.ConditionAsync(shop, "moe/austen", "MemoryFits", "reason"));
        Assert.Equal("", await cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        Assert.Contains("set experts.fastMemory to 268435456", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message"), StringComparison.Ordinal);
        Assert.Equal("268435456", await cluster.GetAsync(shop, "moe/austen", ".status.memory.proposedExpertBytes"));

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"experts":{"fastMemory":"256Mi"}}}""")).EnsureSuccess();
        await Eventually.EqualAsync($"--model=/models/model/{source}", async () => (await cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='inference')].args[2]")));
        Assert.Equal("True", await cluster.ConditionAsync(shop, "moe/austen", "ModelFetched"));

        // Another source is fetched first; what runs is left as it is.
        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"model":{"source":{"s3":{"uri":"s3://models/bronte"}}}}}""")).EnsureSuccess();
        await Eventually.EqualAsync("Fetching", () => cluster.ConditionAsync(shop, "moe/austen", "ModelFetched", "reason"));
        Assert.Contains(source, await cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='inference')].args"), StringComparison.Ordinal);
        var jobs = (await cluster.GetAsync(shop, "jobs", ".items[*].metadata.name")).Split(' ');
        Assert.Equal(2, jobs.Length);
        var next = jobs.Single(name => name != job);
        await FinishAsync(shop, next, await cluster.GetAsync(shop, $"job/{next}", @".spec.template.metadata.annotations.moebius\.dev/model-source"), new ModelFacts(1L << 30, 1L << 30, 64L << 20, 4096));
        await Eventually.EqualAsync(next, () => cluster.GetAsync(shop, "jobs", ".items[*].metadata.name"));
        await Eventually.TrueAsync(async () => !(await cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='inference')].args")).Contains(source, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_paused_resource_is_left_alone_and_says_so()
    {
        var shop = await cluster.NamespaceAsync("paused");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Local, "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        (await cluster.KubectlAsync("annotate", "-n", shop, "moe/austen", "moebius.dev/paused=true")).EnsureSuccess();
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Paused"));
        (await cluster.KubectlAsync("scale", "-n", shop, "deployment/austen", "--replicas=4")).EnsureSuccess();
        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"serving":{"maxBatchTokens":64}}}""")).EnsureSuccess();
        await Eventually.EqualAsync("2", () => cluster.GetAsync(shop, "moe/austen", ".status.observedGeneration"));
        await Eventually.EqualAsync("Paused", () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
        Assert.Equal("False", await cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        Assert.Equal("4", await cluster.GetAsync(shop, "deployment/austen", ".spec.replicas"));
        (await cluster.KubectlAsync("annotate", "-n", shop, "moe/austen", "moebius.dev/paused=yes", "--overwrite")).EnsureSuccess();
        await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("metadata.annotations[moebius.dev/paused]: 'yes' is neither", StringComparison.Ordinal));
        (await cluster.KubectlAsync("annotate", "-n", shop, "moe/austen", "moebius.dev/paused-")).EnsureSuccess();
        await Eventually.EqualAsync("1", () => cluster.GetAsync(shop, "deployment/austen", ".spec.replicas"));
        await Eventually.EqualAsync("", () => cluster.ConditionAsync(shop, "moe/austen", "Paused"));
    }

    [Fact]
    public async Task A_paused_resource_is_ready_as_long_as_what_runs_is_what_it_asks_for()
    {
        var shop = await cluster.NamespaceAsync("paused-ready");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Deployment("{model: {source: {hostPath: {path: /models/austen}}}, placement: {nodeSelector: {zone: a}}}"), "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        await cluster.PatchDeploymentStatusAsync(shop, "austen", """{"status":{"observedGeneration":GENERATION,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1}}""");
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        var endpoint = await cluster.GetAsync(shop, "moe/austen", ".status.endpoint");

        (await cluster.KubectlAsync("annotate", "-n", shop, "moe/austen", "moebius.dev/paused=true")).EnsureSuccess();
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Paused"));
        Assert.Equal("True", await cluster.ConditionAsync(shop, "moe/austen", "Ready"));

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"placement":null}}""")).EnsureSuccess();
        await Eventually.EqualAsync("False", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        Assert.EndsWith("Deployment 'austen' has what is not planned any more", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message"), StringComparison.Ordinal);
        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"placement":{"nodeSelector":{"zone":"a"}}}}""")).EnsureSuccess();
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"serving":{"port":9000}}}""")).EnsureSuccess();
        await Eventually.EqualAsync("4", () => cluster.GetAsync(shop, "moe/austen", ".status.observedGeneration"));
        Assert.Equal("False", await cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        Assert.Contains("' is not as planned (", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message"), StringComparison.Ordinal);
        // Nothing listens on the new port.
        Assert.Equal(endpoint, await cluster.GetAsync(shop, "moe/austen", ".status.endpoint"));

        (await cluster.KubectlAsync("annotate", "-n", shop, "moe/austen", "moebius.dev/paused-")).EnsureSuccess();
        await Eventually.EqualAsync("9000", () => cluster.GetAsync(shop, "service/austen", ".spec.ports[0].port"));
    }

    [Fact]
    public async Task A_claim_that_cannot_be_changed_keeps_nothing_else_from_changing()
    {
        var shop = await cluster.NamespaceAsync("claims");
        await using var running = cluster.StartOperator(shop);
        const string Optimizer = "{apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizer, metadata: {name: sculptor}, spec: {languageModel: {endpoint: {url: 'http://x/v1', model: m}}, store: {size: 2Gi}}}";
        await cluster.ApplyAsync(Optimizer, "-n", shop);
        await Eventually.EqualAsync("sculptor-optimizer", () => cluster.GetAsync(shop, "deployment/sculptor-optimizer", ".metadata.name"));
        await cluster.ApplyAsync(Optimizer.Replace("2Gi}", "1Gi}, image: 'other:1'", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("other:1", () => cluster.GetAsync(shop, "deployment/sculptor-optimizer", ".spec.template.spec.containers[0].image"));
        await Eventually.EqualAsync("StoreImmutable", () => cluster.ConditionAsync(shop, "popt/sculptor", "Degraded", "reason"));
        Assert.StartsWith("spec.store.size: '1Gi' cannot be had: PersistentVolumeClaim 'sculptor-optimizer-data' has '2Gi'", await cluster.ConditionAsync(shop, "popt/sculptor", "Degraded", "message"), StringComparison.Ordinal);

        // What only the server can refuse is one line.
        await cluster.ApplyAsync(Optimizer.Replace("2Gi}", "3Gi}", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("ChildRejected", () => cluster.ConditionAsync(shop, "popt/sculptor", "Degraded", "reason"));
        Assert.DoesNotContain('\n', await cluster.ConditionAsync(shop, "popt/sculptor", "Degraded", "message"));
    }

    [Fact]
    public async Task An_optimizer_reaches_its_models_only_and_lets_in_whom_its_spec_names()
    {
        var shop = await cluster.NamespaceAsync("optimizertraffic");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Local, "-n", shop);
        const string Optimizer = "{apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizer, metadata: {name: sculptor}, spec: {languageModel: {moeDeploymentRef: {name: austen}}, networkPolicy: NETWORK}}";
        await cluster.ApplyAsync(Optimizer.Replace("NETWORK", "{}", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("austen 8000", () => cluster.GetAsync(shop, "networkpolicy/sculptor-optimizer", @".spec.egress[1].to[0].podSelector.matchLabels.app\.kubernetes\.io/instance} {.spec.egress[1].ports[0].port"));
        Assert.Equal("moebius-system", await cluster.GetAsync(shop, "networkpolicy/sculptor-optimizer", @".spec.ingress[1].from[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name"));

        await cluster.ApplyAsync(Optimizer.Replace("NETWORK", "{allowFrom: [{ipBlock: {cidr: 10.1.0.0/16}}]}", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("10.1.0.0/16", () => cluster.GetAsync(shop, "networkpolicy/sculptor-optimizer", ".spec.ingress[0].from[*].ipBlock.cidr"));
        (await cluster.KubectlAsync("delete", "-n", shop, "networkpolicy/sculptor-optimizer")).EnsureSuccess();
        await Eventually.EqualAsync("sculptor-optimizer", () => cluster.GetAsync(shop, "networkpolicy/sculptor-optimizer", ".metadata.name"));
        await cluster.ApplyAsync(Optimizer.Replace("NETWORK", "{enabled: false}", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("", () => cluster.GetAsync(shop, "networkpolicy/sculptor-optimizer", ".metadata.name"));
    }

    [Fact]
    public async Task A_job_that_cannot_be_handed_in_is_a_warning()
    {
        var shop = await cluster.NamespaceAsync("refusedjobs");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync("{apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizationJob, metadata: {name: cat}, spec: {optimizerRef: {name: nobody}, prompt: a cat}}", "-n", shop);
        await Eventually.EqualAsync("Warning OptimizerNotFound", () => cluster.GetAsync(shop, "events", ".items[?(@.involvedObject.name=='cat')].type} {.items[?(@.involvedObject.name=='cat')].reason"));
    }

    [Fact]
    public async Task The_longest_name_has_events_too()
    {
        var shop = await cluster.NamespaceAsync("longnames");
        await using var running = cluster.StartOperator(shop);
        var name = string.Join('.', Enumerable.Repeat(new string('a', 62), 4));
        await cluster.ApplyAsync($"{{apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizationJob, metadata: {{name: {name}}}, spec: {{optimizerRef: {{name: nobody}}, prompt: a cat}}}}", "-n", shop);
        await Eventually.EqualAsync("OptimizerNotFound", () => cluster.GetAsync(shop, "events", $".items[?(@.involvedObject.name=='{name}')].reason"));
    }

    [Fact]
    public async Task The_number_of_pods_that_an_autoscaler_chose_stays_within_its_bounds()
    {
        var shop = await cluster.NamespaceAsync("scaled");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Deployment("{model: {source: {hostPath: {path: /m}}}, autoscaling: {minReplicas: 2, maxReplicas: 5}}"), "-n", shop);
        await Eventually.EqualAsync("2", () => cluster.GetAsync(shop, "deployment/austen", ".spec.replicas"));
        (await cluster.KubectlAsync("scale", "-n", shop, "deployment/austen", "--replicas=4")).EnsureSuccess();
        // A change of the spec applies the whole Deployment again.
        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"image":"other:1"}}""")).EnsureSuccess();
        await Eventually.EqualAsync("4 other:1", () => cluster.GetAsync(shop, "deployment/austen", ".spec.replicas} {.spec.template.spec.containers[?(@.name=='inference')].image"));
        (await cluster.KubectlAsync("scale", "-n", shop, "deployment/austen", "--replicas=9")).EnsureSuccess();
        await Eventually.EqualAsync("5", () => cluster.GetAsync(shop, "deployment/austen", ".spec.replicas"));
    }

    [Fact]
    public async Task A_profile_goes_when_its_last_agent_has_restored_its_node()
    {
        await using var running = cluster.StartOperator();
        await LeaveAsync("leaving");
        // Whoever takes the labels off hides the agents from every watch, and does not keep them from being stopped.
        (await cluster.KubectlAsync("label", "-n", "moebius-system", "daemonset/moebius-agent-leaving", "app.kubernetes.io/managed-by-", "example.com/mine=yes")).EnsureSuccess();
        var mark = await cluster.Audit.MarkAsync(TestContext.Current.CancellationToken);
        (await cluster.KubectlAsync("delete", "msp/leaving", "--wait=false")).EnsureSuccess();
        await Eventually.EqualAsync("", () => cluster.GetAsync("moebius-system", "daemonset/moebius-agent-leaving", ".metadata.name"));
        // When the operator finds them gone for the second time, it has let nothing go the first time.
        await Eventually.TrueAsync(async () => (await cluster.Audit.SinceAsync(mark, "moebius-operator", TestContext.Current.CancellationToken))
            .Count(request => request is { Resource: "daemonsets", Name: "moebius-agent-leaving", Verb: "get", StatusCode: 404 }) > 1);
        Assert.Equal("leaving", await cluster.GetAsync("default", "msp/leaving", ".metadata.name"));
        (await cluster.KubectlAsync("delete", "-n", "moebius-system", "pod/leaving-agent", "--force", "--grace-period=0")).EnsureSuccess();
        await Eventually.EqualAsync("", () => cluster.GetAsync("default", "msp/leaving", ".metadata.name"));
    }

    [Fact]
    public async Task An_older_profile_takes_its_nodes_when_its_mistake_is_corrected()
    {
        await using var running = cluster.StartOperator();
        await ApplyAsync("west-elder", "nodeSelector: {wing: west}, agent: {resources: {requests: {gpu: 1}}}");
        await ApplyAsync("west-young", "nodeSelector: {wing: west, floor: first}");
        await Eventually.EqualAsync("InvalidSpec", () => ReasonAsync("west-elder"));
        await Eventually.EqualAsync("moebius-agent-west-young", () => AgentsAsync("west-young"));
        Assert.Equal("", await AgentsAsync("west-elder"));

        await ApplyAsync("west-elder", "nodeSelector: {wing: west}");
        await Eventually.EqualAsync("moebius-agent-west-elder", () => AgentsAsync("west-elder"));
        await Eventually.EqualAsync("", () => AgentsAsync("west-young"));
        await Eventually.EqualAsync("ProfilesOverlap", () => ReasonAsync("west-young"));
        (await cluster.KubectlAsync("delete", "msp/west-elder", "msp/west-young", "--wait=false")).EnsureSuccess();

        Task ApplyAsync(string name, string spec) => cluster.ApplyAsync($"{{apiVersion: moebius.dev/v1alpha1, kind: MemorySchedulingProfile, metadata: {{name: {name}}}, spec: {{{spec}}}}}");
        Task<string> AgentsAsync(string name) => cluster.GetAsync("moebius-system", $"daemonset/moebius-agent-{name}", ".metadata.name");
        Task<string> ReasonAsync(string name) => cluster.GetAsync("default", $"msp/{name}", ".status.conditions[?(@.type=='Ready')].reason");
    }

    [Fact]
    public async Task Pods_follow_their_profile_when_an_older_one_moves()
    {
        var shop = await cluster.NamespaceAsync("follows");
        await using var running = cluster.StartOperator();
        await ApplyAsync("north-elder", "wing: north");
        await ApplyAsync("north-young", "floor: ground");
        await cluster.ApplyAsync("{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: austen}, spec: {memorySchedulingProfileRef: {name: north-young}, model: {source: {hostPath: {path: /models/austen}}}}}", "-n", shop);
        await Eventually.EqualAsync("wing NotIn north", KeptOffAsync);
        await ApplyAsync("north-elder", "floor: first");
        await Eventually.EqualAsync("", KeptOffAsync);
        (await cluster.KubectlAsync("delete", "msp/north-elder", "msp/north-young", "--wait=false")).EnsureSuccess();

        Task ApplyAsync(string name, string label) => cluster.ApplyAsync($"{{apiVersion: moebius.dev/v1alpha1, kind: MemorySchedulingProfile, metadata: {{name: {name}}}, spec: {{nodeSelector: {{{label}}}}}}}");
        async Task<string> KeptOffAsync()
        {
            const string Expression = ".spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]";
            var (key, name) = (await cluster.GetAsync(shop, "deployment/austen", $"{Expression}.key"), await cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
            return name.Length == 0 ? "no Deployment" : key.Length == 0 ? "" : $"{key} {await cluster.GetAsync(shop, "deployment/austen", $"{Expression}.operator")} {await cluster.GetAsync(shop, "deployment/austen", $"{Expression}.values[0]")}";
        }
    }

    [Fact]
    public async Task A_node_that_never_comes_back_holds_its_profile_up_for_a_while_and_is_named()
    {
        var clock = new HastyClock();
        await using var running = cluster.StartOperator(time: clock);
        await LeaveAsync("lost");
        (await cluster.KubectlAsync("delete", "msp/lost", "--wait=false")).EnsureSuccess();
        await Eventually.EqualAsync("", () => cluster.GetAsync("moebius-system", "daemonset/moebius-agent-lost", ".metadata.name"));
        // The operator counts from when it first looks after that. One jump is more than the minute after which it tells, and only
        // seven are the ten after which it gives up.
        var (ahead, looks) = (TimeSpan.Zero, 0);
        await Eventually.TrueAsync(async () =>
        {
            if (await IsToldAsync("1 node agents have not ended yet: on nowhere"))
                return true;
            if (looks++ % 50 == 0)
                clock.Ahead = ahead += TimeSpan.FromSeconds(90);
            return false;
        });
        Assert.Equal("lost", await cluster.GetAsync("default", "msp/lost", ".metadata.name"));
        clock.Ahead = ahead + TimeSpan.FromMinutes(20);
        await Eventually.EqualAsync("", () => cluster.GetAsync("default", "msp/lost", ".metadata.name"));
        await Eventually.TrueAsync(() => IsToldAsync("1 node agents have not ended within 10 minutes, and are no longer waited for: on nowhere"));
        (await cluster.KubectlAsync("delete", "-n", "moebius-system", "pod/lost-agent", "--force", "--grace-period=0")).EnsureSuccess();

        async Task<bool> IsToldAsync(string what) => (await cluster.GetAsync("default", "events", ".items[?(@.involvedObject.name=='lost')].message")).Contains(what, StringComparison.Ordinal);
    }

    /// <summary>A profile with an agent on a node that does not stop it.</summary>
    private async Task LeaveAsync(string name)
    {
        await cluster.ApplyAsync($"{{apiVersion: moebius.dev/v1alpha1, kind: MemorySchedulingProfile, metadata: {{name: {name}}}, spec: {{nodeSelector: {{{name}: 'yes'}}}}}}");
        await Eventually.EqualAsync($"moebius-agent-{name}", () => cluster.GetAsync("moebius-system", $"daemonset/moebius-agent-{name}", ".metadata.name"));
        await cluster.ApplyAsync($$"""
            apiVersion: v1
            kind: Pod
            metadata:
              name: {{name}}-agent
              labels: {app.kubernetes.io/managed-by: moebius-operator, app.kubernetes.io/component: node-agent, app.kubernetes.io/instance: {{name}}}
            spec: {nodeName: nowhere, containers: [{name: agent, image: x}]}
            """, "-n", "moebius-system");
        await Eventually.EqualAsync("[\"moebius.dev/restore-nodes\"]", () => cluster.GetAsync("default", $"msp/{name}", ".metadata.finalizers"));
    }

    [Fact]
    public async Task A_new_resource_costs_one_request_for_each_child_and_one_for_its_status()
    {
        var shop = await cluster.NamespaceAsync("thrift");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Local, "-n", shop);
        await Eventually.EqualAsync("False", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        var mark = await cluster.Audit.MarkAsync(TestContext.Current.CancellationToken);
        await cluster.ApplyAsync(Local.Replace("{name: austen}", "{name: bronte}", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("False", () => cluster.ConditionAsync(shop, "moe/bronte", "Ready"));
        var requests = new List<AuditEvent>();
        // A request may be logged a moment after its effect is seen.
        await Eventually.TrueAsync(async () => (requests = [.. (await cluster.Audit.SinceAsync(mark, "moebius-operator", TestContext.Current.CancellationToken))
            .Where(request => request.Namespace == shop && request.Verb != "watch" && request.Resource != "events")]).Any(request => request is { Subresource: "status", Name: "bronte" }));
        Assert.DoesNotContain(requests, request => request.Verb is "get" or "list");
        var writes = requests.Where(request => request.IsWrite).Select(request => $"{request.Verb} {request.Resource} {request.Subresource}".TrimEnd()).ToList();
        Assert.Equal(writes.Distinct(), writes);
        Assert.Equal("update moedeployments status", writes[^1]);
        Assert.Single(writes, write => write.StartsWith("update", StringComparison.Ordinal));
    }

    private async Task FinishAsync(string shop, string job, string source, ModelFacts facts)
    {
        await cluster.ApplyAsync($$"""
            apiVersion: v1
            kind: Pod
            metadata:
              name: {{job}}-pod
              labels: {app.kubernetes.io/managed-by: moebius-operator, app.kubernetes.io/component: model-fetch, app.kubernetes.io/instance: austen}
              annotations: {moebius.dev/model-source: "{{source}}"}
            spec: {containers: [{name: fetch, image: x}]}
            """, "-n", shop);
        var status = new JsonObject
        {
            ["status"] = new JsonObject
            {
                ["phase"] = "Succeeded",
                ["containerStatuses"] = new JsonArray(new JsonObject
                {
                    ["name"] = "fetch", ["ready"] = false, ["restartCount"] = 0, ["image"] = "x", ["imageID"] = "",
                    ["state"] = new JsonObject { ["terminated"] = new JsonObject { ["exitCode"] = 0, ["message"] = facts.ToLine() } },
                }),
            },
        };
        await cluster.PatchStatusAsync(shop, $"pods/{job}-pod", status.ToJsonString());
        (await cluster.KubectlAsync("patch", "-n", shop, $"job/{job}", "--subresource=status", "--type=merge", "-p", """{"status":{"succeeded":1,"conditions":[{"type":"Complete","status":"True"}]}}""")).EnsureSuccess();
    }
}
