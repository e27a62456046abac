namespace Moebius.Operator.Tests.Integration;

/// <summary>A PromptOptimizer that gets another store, on a real API server.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class StoreChangeTests(OperatorCluster cluster)
{
    private const string Optimizer = "{apiVersion: moebius.dev/v1alpha1, kind: PromptOptimizer, metadata: {name: sculptor}, spec: {languageModel: {endpoint: {url: 'http://x/v1', model: m}}, STORE}}";

    /// <summary>One process has a file, so its pod goes before the next comes; a database has many clients. What one kind of rollout says must not be left to the other.</summary>
    [Fact]
    public async Task The_way_that_pods_are_replaced_follows_the_store_and_the_claim_stays()
    {
        var shop = await cluster.NamespaceAsync("storechange");
        await using var running = cluster.StartOperator(shop);
        await ApplyAsync("replicas: 2, store: {type: PostgreSQL, connectionSecretRef: {name: db, key: uri}}");
        await Eventually.EqualAsync("RollingUpdate 2", () => RolloutAsync());
        Assert.Equal("", await cluster.GetAsync(shop, "pvc/sculptor-optimizer-data", ".metadata.name"));

        await ApplyAsync("store: {size: 1Gi}");
        await Eventually.EqualAsync("Recreate 1", () => RolloutAsync());
        await Eventually.EqualAsync("sculptor-optimizer-data", () => cluster.GetAsync(shop, "pvc/sculptor-optimizer-data", ".metadata.name"));

        await ApplyAsync("replicas: 3, store: {type: PostgreSQL, connectionSecretRef: {name: db, key: uri}}");
        await Eventually.EqualAsync("RollingUpdate 3", () => RolloutAsync());
        Assert.Equal("sculptor-optimizer-data", await cluster.GetAsync(shop, "pvc/sculptor-optimizer-data", ".metadata.name"));
        Assert.NotEqual("ChildRejected", await cluster.ConditionAsync(shop, "popt/sculptor", "Degraded", "reason"));

        Task ApplyAsync(string store) => cluster.ApplyAsync(Optimizer.Replace("STORE", store, StringComparison.Ordinal), "-n", shop);

        async Task<string> RolloutAsync() =>
            $"{await cluster.GetAsync(shop, "deployment/sculptor-optimizer", ".spec.strategy.type")} {await cluster.GetAsync(shop, "deployment/sculptor-optimizer", ".spec.replicas")}";
    }
}
