using System.Net;

namespace Moebius.Operator.Tests.Integration;

/// <summary>How a KVPrivacyPolicy reaches the sidecars of its users, and what they say of it.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class PolicyTests(OperatorCluster cluster)
{
    [Fact]
    public async Task A_policy_says_which_generation_the_sidecars_of_its_users_run()
    {
        var shop = await cluster.NamespaceAsync("generations");
        var pods = new MetricsHandler { Generation = 1 };
        // It asks the pods again within minutes.
        await using var running = cluster.StartOperator(shop, service: pods, time: new HastyClock());
        await cluster.ApplyAsync("{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {name: strict}, spec: {mode: SafeKV}}", "-n", shop);
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}, kvCache: {policyRef: {name: strict}}}"), "-n", shop);
        await cluster.CreateInferencePodAsync(shop);
        await cluster.PatchStatusAsync(shop, "pods/austen-1", """{"status":{"podIP":"10.1.2.3"}}""");
        (await cluster.KubectlAsync("patch", "-n", shop, "kvp/strict", "--type=merge", "-p", """{"spec":{"mode":"Isolate"}}""")).EnsureSuccess();
        await Eventually.EqualAsync("1", () => cluster.GetAsync(shop, "kvp/strict", ".status.users[0].generation"));
        pods.Generation = 2;
        await Eventually.EqualAsync("2", () => cluster.GetAsync(shop, "kvp/strict", ".status.users[0].generation"));

        // A sidecar that cannot honour the next one goes on with this one.
        (pods.Invalid, pods.Refused) = (1, 3);
        (await cluster.KubectlAsync("patch", "-n", shop, "kvp/strict", "--type=merge", "-p", """{"spec":{"mode":"SafeKV"}}""")).EnsureSuccess();
        await Eventually.EqualAsync("False PolicyRefused", () => cluster.GetAsync(shop, "kvp/strict", ".status.conditions[?(@.type=='Ready')].status} {.status.conditions[?(@.type=='Ready')].reason"));
        Assert.StartsWith("1 pod of MoEDeployment 'austen' refuses the newest policy and goes on with generation 2", await cluster.ConditionAsync(shop, "kvp/strict", "Degraded", "message"), StringComparison.Ordinal);
        // Who has not read a correction yet does not refuse it.
        (await cluster.KubectlAsync("patch", "-n", shop, "kvp/strict", "--type=merge", "-p", """{"spec":{"mode":"Share"}}""")).EnsureSuccess();
        await Eventually.EqualAsync("True 4", () => cluster.GetAsync(shop, "kvp/strict", ".status.conditions[?(@.type=='Ready')].status} {.status.conditions[?(@.type=='Ready')].observedGeneration"));
        Assert.Equal("2", await cluster.GetAsync(shop, "kvp/strict", ".status.users[0].generation"));
        pods.Refused = 4;
        await Eventually.EqualAsync("PolicyRefused", () => cluster.ConditionAsync(shop, "kvp/strict", "Ready", "reason"));
        (pods.Invalid, pods.Refused, pods.Generation) = (0, 0, 4);
        await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "kvp/strict", "Ready"));
    }

    [Fact]
    public async Task A_policys_classifier_and_context_check_reach_the_pods_and_only_what_pods_are_made_of_rolls_them()
    {
        var shop = await cluster.NamespaceAsync("tiers");
        await using var running = cluster.StartOperator(shop);
        static string Policy(string claim, int threshold) => $$"""
            apiVersion: moebius.dev/v1alpha1
            kind: KVPrivacyPolicy
            metadata: {name: strict}
            spec:
              classifier: {type: Onnx, onnx: {claimName: {{claim}}, path: v2}, publicBelowPercent: {{threshold.ToString(System.Globalization.CultureInfo.InvariantCulture)}} }
              contextCheck: {endpoint: {url: 'http://judge.models.svc:8000/v1', model: m, apiKeySecretRef: {name: judge, key: token} } }
            """;
        await cluster.ApplyAsync(Policy("pii", 20), "-n", shop);
        await cluster.ApplyAsync(FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}, kvCache: {policyRef: {name: strict}}}"), "-n", shop);
        await Eventually.EqualAsync("pii", () => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.volumes[?(@.name=='classifier')].persistentVolumeClaim.claimName"));
        Assert.Equal("judge", await cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='kvcache')].env[?(@.name=='MOEBIUS_CONTEXT_CHECK_KEY')].valueFrom.secretKeyRef.name"));
        Assert.Equal("models", await cluster.GetAsync(shop, "networkpolicy/austen", @".spec.egress[1].to[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name"));
        await Eventually.TrueAsync(async () => (await cluster.GetAsync(shop, "configmap/strict-policy", @".data.policy\.yaml")).Contains("publicBelowPercent: 20", StringComparison.Ordinal));

        // A threshold is a text that sidecars read again; a claim is what a pod is made of.
        await cluster.ApplyAsync(Policy("pii", 10), "-n", shop);
        await Eventually.TrueAsync(async () => (await cluster.GetAsync(shop, "configmap/strict-policy", @".data.policy\.yaml")).Contains("publicBelowPercent: 10", StringComparison.Ordinal));
        Assert.Equal("1", await cluster.GetAsync(shop, "deployment/austen", ".metadata.generation"));
        await cluster.ApplyAsync(Policy("pii-new", 10), "-n", shop);
        await Eventually.EqualAsync("2", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.generation"));
        Assert.Equal("pii-new", await cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.volumes[?(@.name=='classifier')].persistentVolumeClaim.claimName"));
    }

    /// <summary>Stands for the network of a cluster: answers as a sidecar's metrics do.</summary>
    private sealed class MetricsHandler : HttpMessageHandler
    {
        public volatile int Generation;

        public volatile int Invalid;

        public volatile int Refused;

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => Task.FromResult(
            request.RequestUri == new Uri("http://10.1.2.3:9401/metrics")
                ? new HttpResponseMessage(HttpStatusCode.OK) { Content = new StringContent($"# TYPE moebius_kvcache_policy_generation gauge\nmoebius_kvcache_policy_generation {Generation}\nmoebius_kvcache_policy_invalid {Invalid}\nmoebius_kvcache_policy_refused_generation {Refused}\n") }
                : new HttpResponseMessage(HttpStatusCode.NotFound));
    }
}
