using System.Text.Json.Nodes;

namespace Moebius.Operator.Tests.Integration;

/// <summary>What the API server refuses to change or to remove is told in a condition, as what it refuses to make.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class RefusalTests(OperatorCluster cluster)
{
    private const string Deployment = """
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: austen}
        spec:
          model: {source: {persistentVolumeClaim: {claimName: models}}}
          kvCache: {memory: 64Mi}
        """;

    [Theory]
    [InlineData("deployments", "patch", """{"spec":{"serving":{"threads":3}}}""")]
    [InlineData("networkpolicies", "delete", """{"spec":{"networkPolicy":{"enabled":false}}}""")]
    public async Task A_right_that_is_missing_is_named_and_its_return_is_enough(string resource, string verb, string edit)
    {
        var shop = await cluster.NamespaceAsync($"no-{verb}-{resource}");
        var user = $"poor-{verb}-{resource}";
        await GrantAsync(user, resource, verb);
        await using var running = cluster.StartOperator(shop, user: user);
        await cluster.ApplyAsync(Deployment, "-n", shop);
        await Eventually.EqualAsync("1", () => cluster.GetAsync(shop, "moe/austen", ".status.observedGeneration"));

        (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", edit)).EnsureSuccess();

        await Eventually.EqualAsync("ChildRejected", () => cluster.ConditionAsync(shop, "moe/austen", "Degraded", "reason"));
        Assert.Contains($"cannot {verb} resource \"{resource}\"", await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message"), StringComparison.Ordinal);
        Assert.Equal("2", await cluster.GetAsync(shop, "moe/austen", ".status.observedGeneration"));

        await GrantAsync(user, resource, "");
        await Eventually.TrueAsync(async () => await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "reason") is not "ChildRejected" and not "");
        Assert.Equal(verb == "delete" ? "" : "austen", await cluster.GetAsync(shop, $"{(verb == "delete" ? "networkpolicy" : "deployment")}/austen", ".metadata.name"));
    }

    [Fact]
    public async Task A_webhook_of_somebody_else_that_does_not_answer_is_named()
    {
        var shop = await cluster.NamespaceAsync("no-webhook");
        (await cluster.KubectlAsync("label", "namespace", shop, "guarded=by-nobody")).EnsureSuccess();
        await cluster.ApplyAsync("""
            apiVersion: admissionregistration.k8s.io/v1
            kind: ValidatingWebhookConfiguration
            metadata: {name: guard-that-is-away}
            webhooks:
            - name: guard.example.com
              admissionReviewVersions: [v1]
              sideEffects: None
              failurePolicy: Fail
              timeoutSeconds: 1
              namespaceSelector: {matchLabels: {guarded: by-nobody}}
              clientConfig: {url: "https://127.0.0.1:1/"}
              rules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]
            """);
        try
        {
            await using var running = cluster.StartOperator(shop);
            await cluster.ApplyAsync(Deployment, "-n", shop);
            await Eventually.EqualAsync("ChildRejected", () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
            Assert.Contains("guard.example.com", await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message"), StringComparison.Ordinal);

            (await cluster.KubectlAsync("delete", "validatingwebhookconfiguration", "guard-that-is-away")).EnsureSuccess();
            await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        }
        finally
        {
            await cluster.KubectlAsync("delete", "validatingwebhookconfiguration", "guard-that-is-away", "--ignore-not-found");
        }
    }

    [Fact]
    public async Task A_child_of_before_that_is_held_back_is_named_and_waited_for()
    {
        var shop = await cluster.NamespaceAsync("held-back");
        await using var running = cluster.StartOperator(shop, time: new HastyClock());
        await cluster.ApplyAsync(Deployment, "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "service/austen", ".metadata.name"));
        (await cluster.KubectlAsync("patch", "-n", shop, "service/austen", "--type=merge", "-p", """{"metadata":{"finalizers":["example.com/slow"]}}""")).EnsureSuccess();
        (await cluster.KubectlAsync("delete", "-n", shop, "moe/austen")).EnsureSuccess();
        await Eventually.TrueAsync(async () => await cluster.GetAsync(shop, "service/austen", ".metadata.deletionTimestamp") != "");

        await cluster.ApplyAsync(Deployment, "-n", shop);
        await Eventually.EqualAsync("ChildBeingRemoved", () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
        Assert.Contains("Service 'austen' of before is still being removed, held by example.com/slow", await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message"), StringComparison.Ordinal);

        (await cluster.KubectlAsync("patch", "-n", shop, "service/austen", "--type=merge", "-p", """{"metadata":{"finalizers":null}}""")).EnsureSuccess();
        await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, "moe/austen", "Ready", "reason"));
    }

    /// <summary>The operator's own rights for another user, without one verb on one resource.</summary>
    private async Task GrantAsync(string user, string resource, string withoutVerb)
    {
        var role = JsonNode.Parse((await cluster.KubectlAsync("get", "clusterrole", "moebius-operator", "-o", "json")).EnsureSuccess().StandardOutput)!;
        var rules = new JsonArray();
        foreach (var rule in role["rules"]!.AsArray())
        {
            foreach (var one in rule!["resources"]!.AsArray())
            {
                var narrow = (JsonObject)rule.DeepClone();
                narrow["resources"] = new JsonArray((string)one!);
                narrow["verbs"] = new JsonArray([.. rule["verbs"]!.AsArray().Where(verb => (string?)one != resource || (string?)verb != withoutVerb).Select(verb => verb!.DeepClone())]);
                rules.Add(narrow);
            }
        }

        role["rules"] = rules;
        role["metadata"] = new JsonObject { ["name"] = user };
        await cluster.ApplyAsync(role.ToJsonString());
        await cluster.ApplyAsync($$"""
            apiVersion: rbac.authorization.k8s.io/v1
            kind: ClusterRoleBinding
            metadata: {name: {{user}}}
            roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{user}}}
            subjects: [{kind: User, name: {{user}}, apiGroup: rbac.authorization.k8s.io}]
            """);
    }
}
