using System.Globalization;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Two operators that work on the same objects.</summary>
[Collection(WaitingTests.Name)]
[Trait("Category", "Cluster")]
public sealed class TwoLeadersTests(OperatorCluster cluster)
{
    private static readonly string Moe = FeatureTests.Deployment("{model: {source: {hostPath: {path: /m}}}}");

    [Fact]
    public async Task Two_leaders_that_plan_the_same_write_each_change_once()
    {
        const int Changes = 12;
        var shop = await cluster.NamespaceAsync("leaders-same");
        await using var first = cluster.StartOperator(shop, "first");
        await using var second = cluster.StartOperator(shop, "second");
        await cluster.ApplyAsync(Moe, "-n", shop);
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
        var mark = await cluster.Audit.MarkAsync(TestContext.Current.CancellationToken);
        for (var change = 1; change <= Changes; change++)
        {
            (await cluster.KubectlAsync("patch", "-n", shop, "moe/austen", "--type=merge", "-p", $"{{\"spec\":{{\"image\":\"other:{change}\"}}}}")).EnsureSuccess();
            await Eventually.EqualAsync($"other:{change}", () => ImageAsync(shop));
        }

        // Before the first apply of a child its fields are made the applier's.
        var written = (await cluster.Audit.WritesSinceAsync(mark, "moebius-operator", TestContext.Current.CancellationToken)).Count(write => write.Namespace == shop && write is { Resource: "deployments", StatusCode: 200 });
        Assert.InRange(written, Changes, Changes + 1);
    }

    [Fact]
    public async Task Two_leaders_that_plan_otherwise_answer_each_other_less_and_less_often()
    {
        var shop = await cluster.NamespaceAsync("leaders-other");
        await using var first = cluster.StartOperator(shop, "first");
        await using (cluster.StartOperator(shop, "second", configure: options => options with { Settings = options.Settings with { Image = "other:2" } }))
        {
            await cluster.ApplyAsync(Moe, "-n", shop);
            await Eventually.TrueAsync(async () => (await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("is changed by somebody each time", StringComparison.Ordinal));
            await Task.Delay(TimeSpan.FromSeconds(15), TestContext.Current.CancellationToken);
            // It was several a second.
            Assert.InRange(int.Parse(await cluster.GetAsync(shop, "deployment/austen", ".metadata.generation"), CultureInfo.InvariantCulture), 8, 25);
        }

        // Whoever is left waits no longer than its last pause.
        await Eventually.EqualAsync("moebius-inference:0.1.0", () => ImageAsync(shop));
        await Eventually.TrueAsync(async () => !(await cluster.ConditionAsync(shop, "moe/austen", "Degraded", "message")).Contains("is changed by somebody", StringComparison.Ordinal));
    }

    private Task<string> ImageAsync(string shop) => cluster.GetAsync(shop, "deployment/austen", ".spec.template.spec.containers[?(@.name=='inference')].image");
}
