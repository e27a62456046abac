namespace Moebius.Operator.Tests.Integration;

/// <summary>The operator against a real API server, under exactly the rights that its manifests give it.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class ReconcileTests(OperatorCluster cluster)
{
    private const string Policy = """
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata: {name: strict}
        spec: {mode: SafeKV}
        """;

    private const string Deployment = """
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: austen}
        spec:
          model: {source: {hostPath: {path: /models/austen}}}
          experts: {fastMemory: 12Mi}
          kvCache: {memory: 64Mi, policyRef: {name: strict}}
        """;

    private const string ReadyStatus = """{"status":{"observedGeneration":GENERATION,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1}}""";

    [Fact]
    public async Task Children_appear_follow_and_go()
    {
        var shop = await cluster.NamespaceAsync("children");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Policy + "\n---\n" + Deployment, "-n", shop);
        await Eventually.EqualAsync("False", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        foreach (var child in new[] { "deployment/austen", "service/austen", "serviceaccount/austen", "configmap/austen-config", "configmap/strict-policy", "networkpolicy/austen" })
            await Eventually.EqualAsync("moebius-operator", () => cluster.GetAsync(shop, child, @".metadata.labels.app\.kubernetes\.io/managed-by"));
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "PolicyResolved"));
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "kvp/strict", ".status.users[0].name"));

        // No kubelet runs here: say what became of the pods.
        await PatchStatusAsync(shop, ReadyStatus);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));
        Assert.Equal("True", await cluster.ConditionAsync(shop, "moe/austen", "ModelLoaded"));
        Assert.Equal("True", await cluster.ConditionAsync(shop, "moe/austen", "KVCacheReady"));
        Assert.Equal("http://austen.children.svc:8000/v1", await cluster.GetAsync(shop, "moe/austen", ".status.endpoint"));

        (await cluster.KubectlAsync("delete", "-n", shop, "moe/austen", "--wait=false")).EnsureSuccess();
        foreach (var child in new[] { "deployment/austen", "service/austen", "serviceaccount/austen", "configmap/austen-config", "networkpolicy/austen" })
            await Eventually.EqualAsync("", () => cluster.GetAsync(shop, child, ".metadata.name"));
        await Eventually.EqualAsync("", () => cluster.GetAsync(shop, "kvp/strict", ".status.users[0].name"));
    }

    [Fact]
    public async Task Drift_is_repaired_and_foreign_fields_are_left_alone()
    {
        var shop = await cluster.NamespaceAsync("drift");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Policy + "\n---\n" + Deployment, "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));

        (await cluster.KubectlAsync("annotate", "-n", shop, "deployment/austen", "example.com/note=keep")).EnsureSuccess();
        (await cluster.KubectlAsync("patch", "-n", shop, "deployment/austen", "--type=strategic", "-p",
            """{"spec":{"replicas":5,"template":{"spec":{"containers":[{"name":"inference","image":"other:1"}]}}}}""")).EnsureSuccess();
        await Eventually.EqualAsync("1 moebius-inference:0.1.0", () => cluster.GetAsync(shop, "deployment/austen", ".spec.replicas} {.spec.template.spec.containers[?(@.name=='inference')].image"));
        Assert.Equal("keep", await cluster.GetAsync(shop, "deployment/austen", @".metadata.annotations.example\.com/note"));

        (await cluster.KubectlAsync("delete", "-n", shop, "service/austen")).EnsureSuccess();
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "service/austen", ".metadata.name"));

        // Without its labels a child is not watched; it is found again all the same.
        (await cluster.KubectlAsync("label", "-n", shop, "configmap/austen-config", "app.kubernetes.io/managed-by-")).EnsureSuccess();
        await Eventually.EqualAsync("moebius-operator", () => cluster.GetAsync(shop, "configmap/austen-config", @".metadata.labels.app\.kubernetes\.io/managed-by"));
    }

    [Fact]
    public async Task What_is_dropped_from_a_plan_goes_from_children_and_what_others_and_the_server_have_set_stays()
    {
        static string Placed(string placement) => $"{Deployment}\n  placement: {placement}\n";
        var shop = await cluster.NamespaceAsync("dropped");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Policy + "\n---\n" + Placed("{nodeSelector: {disk: fast, zone: a}, priorityClassName: system-cluster-critical}"), "-n", shop);
        await Eventually.EqualAsync("""{"disk":"fast","zone":"a"} system-cluster-critical""", () => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.nodeSelector} {.spec.template.spec.priorityClassName"));
        (await cluster.KubectlAsync("patch", "-n", shop, "deployment/austen", "--type=strategic", "-p", """{"spec":{"template":{"metadata":{"annotations":{"example.com/note":"keep"}}}}}""")).EnsureSuccess();
        var address = await cluster.GetAsync(shop, "service/austen", ".spec.clusterIP");
        Assert.NotEqual("", address);

        await cluster.ApplyAsync(Placed("{nodeSelector: {zone: b}}"), "-n", shop);
        await Eventually.EqualAsync("""{"zone":"b"} """, () => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.nodeSelector} {.spec.template.spec.priorityClassName"));
        Assert.Equal("keep ClusterFirst", await cluster.GetAsync(shop, "deployment/austen", @".spec.template.metadata.annotations.example\.com/note} {.spec.template.spec.dnsPolicy"));

        // By now the operator owns what it has planned, as an applier, and no default.
        await cluster.ApplyAsync(Placed("{nodeSelector: {zone: c}}"), "-n", shop);
        await Eventually.EqualAsync("""{"zone":"c"}""", () => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.nodeSelector"));
        Assert.Equal("Apply", await cluster.GetAsync(shop, "deployment/austen", ".metadata.managedFields[?(@.manager=='moebius-operator')].operation"));
        Assert.DoesNotContain("f:dnsPolicy", await cluster.GetAsync(shop, "deployment/austen", ".metadata.managedFields[?(@.manager=='moebius-operator')]"), StringComparison.Ordinal);

        // A Service keeps the address that it was given.
        (await cluster.KubectlAsync("label", "--overwrite", "-n", shop, "service/austen", "app.kubernetes.io/component=other")).EnsureSuccess();
        await Eventually.EqualAsync("inference", () => cluster.GetAsync(shop, "service/austen", @".metadata.labels.app\.kubernetes\.io/component"));
        Assert.Equal(address, await cluster.GetAsync(shop, "service/austen", ".spec.clusterIP"));
    }

    [Fact]
    public async Task A_missing_policy_is_a_condition_and_nothing_starts_without_it()
    {
        var shop = await cluster.NamespaceAsync("policies");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Deployment, "-n", shop);
        await Eventually.EqualAsync("PolicyNotFound", () => cluster.ConditionAsync(shop, "moe/austen", "PolicyResolved", "reason"));
        Assert.Equal("", await cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        Assert.Contains("there is no KVPrivacyPolicy 'strict'", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message"), StringComparison.Ordinal);
        await Eventually.EqualAsync("PolicyNotFound", () => cluster.GetAsync(shop, "events", ".items[?(@.involvedObject.name=='austen')].reason"));

        await cluster.ApplyAsync(Policy, "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));

        // A change of the policy reaches the mounted ConfigMap and rolls nothing.
        var template = await cluster.GetAsync(shop, "deployment/austen", ".spec.template");
        await cluster.ApplyAsync(Policy.Replace("SafeKV", "Isolate", StringComparison.Ordinal), "-n", shop);
        await Eventually.TrueAsync(async () => (await cluster.GetAsync(shop, "configmap/strict-policy", @".data.policy\.yaml")).Contains("mode: Isolate", StringComparison.Ordinal));
        Assert.Equal(template, await cluster.GetAsync(shop, "deployment/austen", ".spec.template"));

        // A change of the configuration does roll.
        await cluster.ApplyAsync(Deployment + "\n  serving: {maxBatchTokens: 64}\n", "-n", shop);
        await Eventually.TrueAsync(async () => await cluster.GetAsync(shop, "deployment/austen", ".spec.template") != template);
        // Once: nor did the policy before that, in a change that was on its way when the ConfigMap had come.
        Assert.Equal("2", await cluster.GetAsync(shop, "deployment/austen", ".metadata.generation"));
    }

    [Fact]
    public async Task A_policy_whose_texts_come_late_sets_free_who_waits_for_it()
    {
        var shop = await cluster.NamespaceAsync("late-texts");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Policy.Replace("SafeKV", "SafeKV, publicPrefixes: [{name: system, configMapRef: {name: texts, key: system}}]", StringComparison.Ordinal), "-n", shop);
        await cluster.ApplyAsync(Deployment, "-n", shop);
        await Eventually.EqualAsync("PolicyInvalid", () => cluster.ConditionAsync(shop, "moe/austen", "PolicyResolved", "reason"));
        await Eventually.EqualAsync("ConfigMapNotFound", () => cluster.ConditionAsync(shop, "kvp/strict", "Ready", "reason"));

        (await cluster.KubectlAsync("create", "-n", shop, "configmap", "texts", "--from-literal=system=You are helpful.")).EnsureSuccess();
        // Foreign ConfigMaps are read once a minute; the annotation has the policy, and nobody else, looked at sooner.
        (await cluster.KubectlAsync("annotate", "-n", shop, "kvp/strict", "test=now")).EnsureSuccess();
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "kvp/strict", "Ready"));
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "PolicyResolved"));
        Assert.Equal("austen", await cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
    }

    [Fact]
    public async Task What_the_scheduler_and_the_engine_refuse_is_told_in_their_own_words()
    {
        var shop = await cluster.NamespaceAsync("refused");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Deployment.Replace(", policyRef: {name: strict}", "", StringComparison.Ordinal), "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        await cluster.CreateInferencePodAsync(shop);
        await cluster.PatchStatusAsync(shop, "pods/austen-1", """{"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes are available: 1 Insufficient memory."}]}}""");
        await Eventually.EqualAsync("PodsUnscheduled", () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
        Assert.EndsWith("pod 'austen-1' waits for a node: 0/1 nodes are available: 1 Insufficient memory.", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message"), StringComparison.Ordinal);

        await cluster.PatchStatusAsync(shop, "pods/austen-1", """
            {"status":{"conditions":[{"type":"PodScheduled","status":"True"}],"containerStatuses":[{"name":"inference","ready":false,"restartCount":1,"image":"x","imageID":"","state":{"waiting":{"reason":"CrashLoopBackOff"}},
             "lastState":{"terminated":{"exitCode":2,"message":"moebius: experts.fastMemory: 1 MiB is less than one layer needs\n"}}}]}}
            """);
        await Eventually.EqualAsync("ModelRefused", () => cluster.ConditionAsync(shop, "moe/austen", "ModelLoaded", "reason"));
        Assert.Equal("moebius: experts.fastMemory: 1 MiB is less than one layer needs", await cluster.ConditionAsync(shop, "moe/austen", "ModelLoaded", "message"));
        Assert.Equal("True", await cluster.ConditionAsync(shop, "moe/austen", "Degraded"));
    }

    [Fact]
    public async Task An_object_of_somebody_else_is_not_taken_over()
    {
        var shop = await cluster.NamespaceAsync("owned");
        await cluster.ApplyAsync("{apiVersion: v1, kind: ConfigMap, metadata: {name: austen-config}, data: {mine: 'yes'}}", "-n", shop);
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Policy + "\n---\n" + Deployment, "-n", shop);
        await Eventually.EqualAsync("ChildNotOwned", () => cluster.ConditionAsync(shop, "moe/austen", "Degraded", "reason"));
        Assert.Equal("yes", await cluster.GetAsync(shop, "configmap/austen-config", ".data.mine"));
        Assert.Equal("", await cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        Assert.Equal("", await cluster.GetAsync(shop, "configmap/austen-config", @".data.inference\.yaml"));
    }

    [Fact]
    public async Task A_field_that_somebody_else_applies_is_reported_and_not_fought_over()
    {
        var shop = await cluster.NamespaceAsync("conflict");
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Policy + "\n---\n" + Deployment, "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        await cluster.ApplyAsync("{apiVersion: apps/v1, kind: Deployment, metadata: {name: austen}, spec: {replicas: 4}}", "-n", shop, "--server-side", "--force-conflicts", "--field-manager=rival");
        await Eventually.EqualAsync("ApplyConflict", () => cluster.ConditionAsync(shop, "moe/austen", "Degraded", "reason"));
        Assert.Contains("rival", await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message"), StringComparison.Ordinal);
        Assert.Equal("4", await cluster.GetAsync(shop, "deployment/austen", ".spec.replicas"));

        // The dispute would go on for as long as the resource is there, and operators of other tests would join it.
        (await cluster.KubectlAsync("delete", "moe/austen", "-n", shop)).EnsureSuccess();
    }

    [Fact]
    public async Task Invalid_manifests_are_refused_with_a_message()
    {
        Assert.SkipUnless(cluster.CustomResourcesServedApart, "the API server does not evaluate CEL rules");
        var refused = await cluster.KubectlAsync(["apply", "--validate=false", "-f", "-"], Deployment.Replace("{hostPath: {path: /models/austen}}", "{}", StringComparison.Ordinal));
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("exactly one of hostPath", refused.StandardError, StringComparison.Ordinal);
    }

    private Task PatchStatusAsync(string @namespace, string patch) => cluster.PatchDeploymentStatusAsync(@namespace, "austen", patch);
}
