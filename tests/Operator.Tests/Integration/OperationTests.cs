using System.Globalization;
using Moebius.KubernetesEnvironment;

namespace Moebius.Operator.Tests.Integration;

/// <summary>How the operator behaves over time: at rest, in company, and when the API server goes away.</summary>
[Collection(WaitingTests.Name)]
[Trait("Category", "Cluster")]
public sealed class OperationTests(OperatorCluster cluster)
{
    private const string Agent = "moebius-operator";

    private static string Resources(int count) => """
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata: {name: strict}
        spec: {mode: SafeKV}
        """ + string.Concat(Enumerable.Range(0, count).Select(number => $$"""

        ---
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: 'moe-{{number}}' }
        spec:
          model:
            source:
              hostPath: {path: /models/austen}
          kvCache:
            memory: 64Mi
            policyRef: {name: strict}
          resources: {requests: {cpu: 1000m, memory: 2048Mi} }
        ---
        apiVersion: moebius.dev/v1alpha1
        kind: PromptOptimizer
        metadata: {name: 'opt-{{number}}' }
        spec:
          languageModel:
            moeDeploymentRef: {name: 'moe-{{number}}' }
        """));

    [Fact]
    public async Task A_reconciled_cluster_sees_no_write_for_a_minute()
    {
        var shop = await cluster.NamespaceAsync("rest");
        await using var running = cluster.StartOperator();
        await cluster.ApplyAsync(Resources(3), "-n", shop);
        await cluster.ApplyAsync("""
            apiVersion: moebius.dev/v1alpha1
            kind: MemorySchedulingProfile
            metadata: {name: rest}
            spec: {nodeSelector: {cxl: 'yes'}}
            """);
        for (var number = 0; number < 3; number++)
        {
            await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, $"moe/moe-{number}", "Ready", "reason"));
            await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, $"popt/opt-{number}", "Ready", "reason"));
            await cluster.PatchDeploymentStatusAsync(shop, $"moe-{number}", """{"status":{"observedGeneration":GENERATION,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1}}""");
            await Eventually.EqualAsync("True", () => cluster.ConditionAsync(shop, $"moe/moe-{number}", "Ready"));
        }

        await Eventually.EqualAsync("moebius-agent-rest", () => cluster.GetAsync("moebius-system", "daemonset/moebius-agent-rest", ".metadata.name"));
        await Eventually.EqualAsync("3", () => cluster.GetAsync(shop, "kvp/strict", ".status.userCount"));
        await Eventually.EqualAsync("1", () => cluster.GetAsync("default", "msp/rest", ".status.observedGeneration"));
        // Events are sent in passing, this one last.
        await Eventually.TrueAsync(async () => (await cluster.GetAsync(shop, "events", ".items[?(@.involvedObject.name=='moe-2')].reason")).Split(' ').Contains("Loaded"));

        var mark = await cluster.Audit.MarkAsync();
        await Task.Delay(TimeSpan.FromSeconds(60));
        // Namespaces of other tests hold resources that are deliberately not at rest.
        Assert.DoesNotContain(await cluster.Audit.WritesSinceAsync(mark, Agent), write =>
            !write.RequestUri.Contains("/namespaces/", StringComparison.Ordinal)
            || write.RequestUri.Contains($"/namespaces/{shop}/", StringComparison.Ordinal)
            || write.RequestUri.Contains("/namespaces/moebius-system/", StringComparison.Ordinal));
        (await cluster.KubectlAsync("delete", "msp/rest")).EnsureSuccess();
    }

    [Fact]
    public async Task A_restarted_operator_finds_nothing_to_do()
    {
        var shop = await cluster.NamespaceAsync("again");
        await using (cluster.StartOperator(shop))
        {
            await cluster.ApplyAsync(Resources(1), "-n", shop);
            await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, "moe/moe-0", "Ready", "reason"));
            await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, "popt/opt-0", "Ready", "reason"));
            await Eventually.EqualAsync("1", () => cluster.GetAsync(shop, "kvp/strict", ".status.userCount"));
        }

        var mark = await cluster.Audit.MarkAsync();
        await using (cluster.StartOperator(shop))
        {
            // What the second one does first is what there was to do.
            await cluster.ApplyAsync(Resources(2), "-n", shop);
            await Eventually.EqualAsync("ReplicasNotReady", () => cluster.ConditionAsync(shop, "moe/moe-1", "Ready", "reason"));
        }

        Assert.DoesNotContain(await cluster.Audit.WritesSinceAsync(mark, Agent), write => write.Name is "moe-0" or "moe-0-config" or "opt-0" or "opt-0-optimizer");
    }

    [Fact]
    public async Task A_second_leader_takes_over_and_only_one_writes()
    {
        const string Second = "system:admin-two";
        var shop = await cluster.NamespaceAsync("leaders");
        (await cluster.KubectlAsync("create", "clusterrolebinding", "second-leader", "--clusterrole=cluster-admin", $"--user={Second}")).EnsureSuccess();
        var mark = await cluster.Audit.MarkAsync();
        var first = cluster.StartOperator(shop, "one", leaderElect: true);
        await Eventually.EqualAsync("one", () => cluster.GetAsync("moebius-system", $"lease/moebius-operator-{shop}", ".spec.holderIdentity"));
        await using var second = cluster.StartOperator(shop, "two", leaderElect: true, user: Second);
        await cluster.ApplyAsync(Resources(2), "-n", shop);
        await Eventually.EqualAsync("moe-1", () => cluster.GetAsync(shop, "deployment/moe-1", ".metadata.name"));
        Assert.DoesNotContain(await cluster.Audit.WritesSinceAsync(mark, Agent), write => write.User == Second && write.Resource != "leases");

        await first.DisposeAsync();
        await Eventually.EqualAsync("two", () => cluster.GetAsync("moebius-system", $"lease/moebius-operator-{shop}", ".spec.holderIdentity"));
        mark = await cluster.Audit.MarkAsync();
        (await cluster.KubectlAsync("scale", "-n", shop, "deployment/moe-0", "--replicas=7")).EnsureSuccess();
        await Eventually.EqualAsync("1", () => cluster.GetAsync(shop, "deployment/moe-0", ".spec.replicas"));
        IReadOnlyList<AuditEvent> writes = [];
        // A request may be logged a moment after its effect is seen.
        await Eventually.TrueAsync(async () => (writes = await cluster.Audit.WritesSinceAsync(mark, Agent)).Any(write => write.Name == "moe-0" && write.User == Second));
        Assert.DoesNotContain(writes, write => write.User != Second);
    }

    [Fact]
    public async Task Operators_of_two_namespaces_lead_beside_each_other_from_one()
    {
        var (shop, bank) = (await cluster.NamespaceAsync("beside-shop"), await cluster.NamespaceAsync("beside-bank"));
        await using var first = cluster.StartOperator(shop, "of-shop", leaderElect: true);
        await using var second = cluster.StartOperator(bank, "of-bank", leaderElect: true);
        await Task.WhenAll(cluster.ApplyAsync(Resources(1), "-n", shop), cluster.ApplyAsync(Resources(1), "-n", bank));

        await Eventually.EqualAsync("moe-0", () => cluster.GetAsync(shop, "deployment/moe-0", ".metadata.name"));
        await Eventually.EqualAsync("moe-0", () => cluster.GetAsync(bank, "deployment/moe-0", ".metadata.name"));
    }

    [Fact]
    public async Task A_leader_whose_lease_is_stolen_stops()
    {
        var shop = await cluster.NamespaceAsync("stolen");
        await using var running = cluster.StartOperator(shop, "victim", leaderElect: true);
        await Eventually.EqualAsync("victim", () => cluster.GetAsync("moebius-system", $"lease/moebius-operator-{shop}", ".spec.holderIdentity"));
        // A thief with a clock of its own.
        await Eventually.TrueAsync(async () =>
        {
            await cluster.KubectlAsync("patch", "-n", "moebius-system", $"lease/moebius-operator-{shop}", "--type=merge", "-p",
                """{"spec":{"holderIdentity":"thief","leaseDurationSeconds":5,"renewTime":"NOW"}}""".Replace("NOW", DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture), StringComparison.Ordinal));
            return running.Completion.IsCompleted;
        });
        Assert.False(await running.Completion);
        (await cluster.KubectlAsync("delete", "-n", "moebius-system", $"lease/moebius-operator-{shop}")).EnsureSuccess();
    }

    [Fact]
    public async Task A_restart_of_the_API_server_is_survived()
    {
        var shop = await cluster.NamespaceAsync("restart");
        // How long the server needs to start is the machine's to say, so nobody leads here.
        await using var running = cluster.StartOperator(shop);
        await cluster.ApplyAsync(Resources(1), "-n", shop);
        await Eventually.EqualAsync("moe-0", () => cluster.GetAsync(shop, "deployment/moe-0", ".metadata.name"));
        await cluster.StopApiServerAsync();
        await Task.Delay(TimeSpan.FromSeconds(2));
        await cluster.StartApiServerAsync();
        await IsObeyedAsync(shop);
        Assert.False(running.Completion.IsCompleted);
    }

    [Fact]
    public async Task A_leader_outlives_an_outage_shorter_than_its_deadline()
    {
        var shop = await cluster.NamespaceAsync("outage");
        var outage = new OutageHandler(null);
        await using var running = cluster.StartOperator(shop, "lasting", leaderElect: true, configure: options => options with { ApiHandlers = () => [outage] });
        await cluster.ApplyAsync(Resources(1), "-n", shop);
        await Eventually.EqualAsync("moe-0", () => cluster.GetAsync(shop, "deployment/moe-0", ".metadata.name"));
        outage.Begin();
        // It renews every 2 s, and gives up after 10.
        await Eventually.TrueAsync(() => outage.RefusedLeases >= 2);
        outage.End();
        await IsObeyedAsync(shop);
        Assert.False(running.Completion.IsCompleted);
        Assert.Equal("lasting", await cluster.GetAsync("moebius-system", $"lease/moebius-operator-{shop}", ".spec.holderIdentity"));
    }

    private async Task IsObeyedAsync(string shop)
    {
        (await cluster.KubectlAsync("delete", "-n", shop, "service/moe-0")).EnsureSuccess();
        await Eventually.EqualAsync("moe-0", () => cluster.GetAsync(shop, "service/moe-0", ".metadata.name"));
    }
}
