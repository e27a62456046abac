using System.Text.RegularExpressions;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Tests.Integration;

/// <summary>One that sees children as they are, and their owner as it was: a deposed leader, or a watch that lags.</summary>
[Collection(WaitingTests.Name)]
[Trait("Category", "Cluster")]
public sealed partial class StaleOwnerTests(OperatorCluster cluster)
{
    private const string Moe = """
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: moe}
        spec:
          model: {source: {hostPath: {path: /models/austen}}}
          kvCache: {enabled: false}
        """;

    [Fact]
    public async Task An_old_plan_is_never_written_over_a_newer_one()
    {
        var shop = await cluster.NamespaceAsync("stale-change");
        using var view = new ClusterView(cluster);
        var frozen = new FrozenHandler("moedeployments");
        await cluster.ApplyAsync(Moe, "-n", shop);
        await using var current = cluster.StartOperator(shop, "current");
        await Eventually.TrueAsync(() => view.IsReportedAsync(shop));
        await using var stale = cluster.StartOperator(shop, "stale", configure: options => options with { ApiHandlers = () => [frozen] });
        await frozen.Began;

        for (var change = 1; change <= 5; change++)
        {
            var (asked, expected) = (frozen.Asked, $"maxBatchTokens: {1000 + change}");
            (await cluster.KubectlAsync("patch", "-n", shop, "moe/moe", "--type=merge", "-p", $"{{\"spec\":{{\"serving\":{{\"maxBatchTokens\":{1000 + change}}}}}}}")).EnsureSuccess();
            await Eventually.EqualAsync(expected, () => TokensAsync(shop));
            // The other sees the child change, finds that it is not as it has planned, and asks for the owner.
            await StaysAsync(expected, () => TokensAsync(shop), frozen, asked);
        }

        // What it does once it sees the owner again is nothing.
        frozen.Thaw();
        await Eventually.TrueAsync(() => view.IsReportedAsync(shop));
        Assert.Equal("maxBatchTokens: 1005", await TokensAsync(shop));
    }

    [Fact]
    public async Task What_a_newer_plan_has_made_or_removed_is_neither_removed_nor_made()
    {
        static string Isolated(string enabled) => $"{{\"spec\":{{\"networkPolicy\":{{\"enabled\":{enabled}}}}}}}";
        var shop = await cluster.NamespaceAsync("stale-stray");
        using var view = new ClusterView(cluster);
        var frozen = new FrozenHandler("moedeployments");
        await cluster.ApplyAsync(Moe + "\n  networkPolicy: {enabled: false}", "-n", shop);
        await using var current = cluster.StartOperator(shop, "current");
        await Eventually.TrueAsync(() => view.IsReportedAsync(shop));
        await using (cluster.StartOperator(shop, "stale", configure: options => options with { ApiHandlers = () => [frozen] }))
        {
            await frozen.Began;
            var asked = frozen.Asked;
            (await cluster.KubectlAsync("patch", "-n", shop, "moe/moe", "--type=merge", "-p", Isolated("true"))).EnsureSuccess();
            await Eventually.EqualAsync("moe", () => cluster.GetAsync(shop, "networkpolicy/moe", ".metadata.name"));
            await StaysAsync("moe", () => cluster.GetAsync(shop, "networkpolicy/moe", ".metadata.name"), frozen, asked);
        }

        frozen = new FrozenHandler("moedeployments");
        await using (cluster.StartOperator(shop, "stale", configure: options => options with { ApiHandlers = () => [frozen] }))
        {
            await frozen.Began;
            var asked = frozen.Asked;
            (await cluster.KubectlAsync("patch", "-n", shop, "moe/moe", "--type=merge", "-p", Isolated("false"))).EnsureSuccess();
            await Eventually.EqualAsync("", () => cluster.GetAsync(shop, "networkpolicy/moe", ".metadata.name"));
            await StaysAsync("", () => cluster.GetAsync(shop, "networkpolicy/moe", ".metadata.name"), frozen, asked);
        }
    }

    [Fact]
    public async Task A_resource_that_has_been_paused_is_left_alone_by_who_has_not_seen_it()
    {
        var shop = await cluster.NamespaceAsync("stale-pause");
        using var view = new ClusterView(cluster);
        var frozen = new FrozenHandler("moedeployments");
        await cluster.ApplyAsync(Moe, "-n", shop);
        await using (cluster.StartOperator(shop, "current"))
            await Eventually.TrueAsync(() => view.IsReportedAsync(shop));
        await using var stale = cluster.StartOperator(shop, "stale", configure: options => options with { ApiHandlers = () => [frozen] });
        await frozen.Began;
        (await cluster.KubectlAsync("annotate", "-n", shop, "moe/moe", $"{Labels.Paused}=true")).EnsureSuccess();
        var asked = frozen.Asked;
        (await cluster.KubectlAsync("scale", "-n", shop, "deployment/moe", "--replicas=3")).EnsureSuccess();
        await StaysAsync("3", () => cluster.GetAsync(shop, "deployment/moe", ".spec.replicas"), frozen, asked);
    }

    [Fact]
    public async Task A_plan_made_of_an_old_policy_is_not_written_over_that_of_a_newer_one()
    {
        static string Policy(string secret) => $"{{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolicy, metadata: {{name: strict}}, spec: {{identity: {{signature: {{secretRef: {{name: {secret}, key: key}}}}}}}}}}";
        var shop = await cluster.NamespaceAsync("stale-policy");
        using var view = new ClusterView(cluster);
        var frozen = new FrozenHandler("kvprivacypolicies");
        await cluster.ApplyAsync(Policy("first"), "-n", shop);
        await cluster.ApplyAsync(Moe.Replace("{enabled: false}", "{policyRef: {name: strict}}", StringComparison.Ordinal), "-n", shop);
        await using var current = cluster.StartOperator(shop, "current");
        await Eventually.EqualAsync("first", () => SecretAsync(shop));
        await using var stale = cluster.StartOperator(shop, "stale", configure: options => options with { ApiHandlers = () => [frozen] });
        await frozen.Began;

        for (var change = 1; change <= 3; change++)
        {
            var asked = frozen.Asked;
            await cluster.ApplyAsync(Policy($"later-{change}"), "-n", shop);
            await Eventually.EqualAsync($"later-{change}", () => SecretAsync(shop));
            await StaysAsync($"later-{change}", () => SecretAsync(shop), frozen, asked);
        }

        frozen.Thaw();
        await Eventually.TrueAsync(() => view.IsReportedAsync(shop));
        Assert.Equal("later-3", await SecretAsync(shop));
    }

    /// <summary>Waits until the one with the old view has asked for the owner, or has written without: what it looked at is still what it was.</summary>
    private static async Task StaysAsync(string expected, Func<Task<string>> read, FrozenHandler frozen, int asked)
    {
        await Eventually.TrueAsync(async () => frozen.Asked > asked || await read() != expected);
        Assert.Equal(expected, await read());
    }

    private async Task<string> TokensAsync(string shop) =>
        Tokens().Match(await cluster.GetAsync(shop, "configmap/moe-config", @".data.inference\.yaml")).Value;

    private Task<string> SecretAsync(string shop) =>
        cluster.GetAsync(shop, "deployment/moe", ".spec.template.spec.containers[?(@.name=='inference')].env[*].valueFrom.secretKeyRef.name");

    [GeneratedRegex(@"maxBatchTokens: \d+")]
    private static partial Regex Tokens();

    /// <summary>Tells nothing of what becomes of the objects of a kind, and counts who asks for one of them.</summary>
    private sealed class FrozenHandler(string plural) : DelegatingHandler
    {
        private readonly TaskCompletionSource _began = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CancellationTokenSource _thawed = new();
        private int _asked;

        /// <summary>It watches, and so has listed.</summary>
        public Task Began => _began.Task.WaitAsync(TimeSpan.FromMinutes(1));

        public int Asked => Volatile.Read(ref _asked);

        public void Thaw() => _thawed.Cancel();

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var path = request.RequestUri!.AbsolutePath;
            if (request.Method == HttpMethod.Get && path.Contains($"/{plural}/", StringComparison.Ordinal))
                Interlocked.Increment(ref _asked);
            if (!_thawed.IsCancellationRequested && path.EndsWith($"/{plural}", StringComparison.Ordinal) && request.RequestUri.Query.Contains("watch=true", StringComparison.Ordinal))
            {
                _began.TrySetResult();
                using var either = CancellationTokenSource.CreateLinkedTokenSource(_thawed.Token, cancellationToken);
                await Task.Delay(Timeout.Infinite, either.Token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
                cancellationToken.ThrowIfCancellationRequested();
            }
            return await base.SendAsync(request, cancellationToken);
        }

        protected override void Dispose(bool disposing)
        {
            _thawed.Dispose();
            base.Dispose(disposing);
        }
    }
}
