namespace Moebius.Operator.Tests.Integration;

/// <summary>Values that the API server leaves out of its answers, or replaces: a text that is empty, a zero.</summary>
[Collection(WaitingTests.Name)]
[Trait("Category", "Cluster")]
public sealed class SilentValueTests(OperatorCluster cluster)
{
    [Fact]
    public async Task Values_that_say_nothing_are_not_applied_again_at_every_look()
    {
        var shop = await cluster.NamespaceAsync("silent");
        await using (cluster.StartOperator(shop))
        {
            await cluster.ApplyAsync(FeatureTests.Deployment("""
                {model: {source: {hostPath: {path: /m}}}, placement: {tolerations: [{key: gpu, operator: Exists, value: ''}, {key: '', operator: Exists}]},
                podTemplate: {spec: {hostNetwork: false, containers: [{name: inference, env: [{name: EMPTY, value: ''}]}, {name: more, image: x, livenessProbe: {tcpSocket: {port: 80}, timeoutSeconds: 0}}]}}}
                """.ReplaceLineEndings(" ")), "-n", shop);
            await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
            await LookAsync(1);
            await LookAsync(0);
            var mark = await cluster.Audit.MarkAsync(TestContext.Current.CancellationToken);
            for (var look = 1; look <= 4; look++)
                await LookAsync(look % 2);
            Assert.DoesNotContain(await cluster.Audit.WritesSinceAsync(mark, "moebius-operator", TestContext.Current.CancellationToken), write => write.Namespace == shop && write is { Resource: "deployments" });

            // What says something is still taken back, as is what says nothing where the server would tell.
            (await cluster.KubectlAsync("patch", "-n", shop, "deployment/austen", "--type=strategic", "-p", """{"spec":{"template":{"spec":{"containers":[{"name":"inference","env":[{"name":"EMPTY","value":"full"}]}]}}}}""")).EnsureSuccess();
            await Eventually.EqualAsync("", () => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='inference')].env[?(@.name=='EMPTY')].value"));
            (await cluster.KubectlAsync("patch", "-n", shop, "serviceaccount/austen", "--type=merge", "-p", """{"automountServiceAccountToken":null}""")).EnsureSuccess();
            await Eventually.EqualAsync("false", () => cluster.GetAsync(shop, "serviceaccount/austen", ".automountServiceAccountToken"));

            // One who has never applied it, because it is paused, does not call it a difference.
            (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", """{"spec":{"podTemplate":{"spec":{"containers":[{"name":"inference","env":[{"name":"EMPTY","value":""}]}]}}}}""")).EnsureSuccess();
            await Eventually.EqualAsync("", () => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='more')].name"));
            (await cluster.KubectlAsync("annotate", "-n", shop, "moe/austen", "moebius.dev/paused=true")).EnsureSuccess();
            await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, "moe/austen", "Paused"));
        }

        await using var next = cluster.StartOperator(shop);
        await LookAsync(1);
        Assert.DoesNotContain("not as planned", await cluster.ConditionAsync(shop, "moe/austen", "Ready", "message") + await cluster.ConditionAsync(shop, "moe/austen", "Progressing", "message"), StringComparison.Ordinal);

        // The operator has looked when it has counted.
        async Task LookAsync(int ready)
        {
            await cluster.PatchDeploymentStatusAsync(shop, "austen", $"{{\"status\":{{\"observedGeneration\":GENERATION,\"replicas\":1,\"readyReplicas\":{ready}}}}}");
            await Eventually.EqualAsync($"{ready}", async () => await cluster.GetAsync(shop, "moe/austen", ".status.readyReplicas"));
        }
    }
}
