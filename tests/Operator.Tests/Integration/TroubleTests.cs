using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using k8s.Models;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Integration;

/// <summary>The operator dies, the server forgets, and two believe that they lead.</summary>
[Collection(WaitingTests.Name)]
[Trait("Category", "Cluster")]
public sealed partial class TroubleTests(OperatorCluster cluster)
{
    private const string Resources = """
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata: {name: strict}
        spec: {mode: SafeKV}
        ---
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: moe}
        spec:
          model: {source: {hostPath: {path: /models/austen}}}
          kvCache: {memory: 64Mi, policyRef: {name: strict}}
        ---
        apiVersion: moebius.dev/v1alpha1
        kind: PromptOptimizer
        metadata: {name: opt}
        spec:
          languageModel: {moeDeploymentRef: {name: moe}}
        """;

    /// <summary>Its results are too large for a status, so that it has a child.</summary>
    private const string Job = """

        ---
        apiVersion: moebius.dev/v1alpha1
        kind: PromptOptimizationJob
        metadata: {name: sketches}
        spec:
          optimizerRef: {name: opt}
          prompts: [a cat, a dog]
        """;

    private static PlayedService Service() => new() { State = "Succeeded", Better = new string('x', 200_000) };

    [Fact]
    public async Task An_operator_killed_at_any_write_leaves_what_the_next_one_completes()
    {
        using var view = new ClusterView(cluster);
        var calm = await cluster.NamespaceAsync("killed-never");
        var counting = new DeathHandler(int.MaxValue, arrives: true);
        using var service = Service();
        await using (cluster.StartOperator(calm, service: service, configure: options => options with { ApiHandlers = () => [counting] }))
        {
            await cluster.ApplyAsync(Resources + Job, "-n", calm);
            await Eventually.TrueAsync(() => view.IsReportedAsync(calm));
        }

        var expected = await view.ChildrenAsync(calm);
        Assert.Equal(13, expected.Split('\n').Length);
        var last = 0;
        foreach (var arrives in new[] { true, false })
        {
            // Five at a time: each is an operator of one namespace.
            for (var (at, died) = (1, true); died; at += 5)
            {
                var outcomes = await Task.WhenAll(Enumerable.Range(at, 5).Select(number => DieAsync(view, number, arrives, expected)));
                died = outcomes.All(one => one);
                last = Math.Max(last, at + outcomes.Count(one => one) - 1);
            }
        }

        // Thirteen children, a finalizer and at least four statuses: every one of those writes was a last one.
        Assert.InRange(last, 18, 60);
    }

    private async Task<bool> DieAsync(ClusterView view, int at, bool arrives, string expected)
    {
        var shop = await cluster.NamespaceAsync($"killed-{(arrives ? "after" : "before")}-{at.ToString(CultureInfo.InvariantCulture)}");
        await cluster.ApplyAsync(Resources + Job, "-n", shop);
        var death = new DeathHandler(at, arrives);
        using var service = Service();
        var victim = cluster.StartOperator(shop, service: service, configure: options => options with { ApiHandlers = () => [death] });
        // Either it dies or there was nothing left to write.
        var settled = Eventually.TrueAsync(async () => death.Dead.IsCompleted || (await view.IsReportedAsync(shop) && await view.ChildrenAsync(shop) == expected));
        await settled;
        await victim.DisposeAsync();
        await using (cluster.StartOperator(shop, service: service))
        {
            await Eventually.EqualAsync(expected, () => view.ChildrenAsync(shop));
            await Eventually.TrueAsync(() => view.IsReportedAsync(shop));
        }

        // However often a prompt was handed in, it is one job.
        Assert.Equal(2, service.Jobs.Count);
        return death.Dead.IsCompleted;
    }

    [Fact]
    public async Task A_server_that_forgets_every_watch_is_asked_at_a_bounded_rate_and_still_obeyed()
    {
        using var view = new ClusterView(cluster);
        var shop = await cluster.NamespaceAsync("gone");
        var gone = new GoneHandler();
        await using var running = cluster.StartOperator(shop, configure: options => options with { ApiHandlers = () => [gone] });
        await cluster.ApplyAsync(Resources, "-n", shop);
        await Eventually.EqualAsync("moe", () => cluster.GetAsync(shop, "deployment/moe", ".metadata.name"));
        await Eventually.EqualAsync("opt-optimizer", () => cluster.GetAsync(shop, "deployment/opt-optimizer", ".metadata.name"));

        var before = gone.Requests;
        await Task.Delay(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        var rate = (gone.Requests - before) / 10.0;
        TestContext.Current.TestOutputHelper?.WriteLine($"{rate.ToString(CultureInfo.InvariantCulture)} requests a second");
        // Fourteen kinds, each listed and watched once in 15 s at the latest back-off; twice that while it grows.
        Assert.InRange(rate, 0, 20);

        gone.Active = false;
        (await cluster.KubectlAsync("delete", "-n", shop, "service/moe")).EnsureSuccess();
        await Eventually.EqualAsync("moe", () => cluster.GetAsync(shop, "service/moe", ".metadata.name"));
        Assert.False(running.Completion.IsCompleted);
    }

    [Theory]
    [InlineData("silent")]
    [InlineData("broken")]
    public async Task A_server_that_is_away_is_asked_at_a_bounded_rate_and_obeyed_when_it_is_back(string how)
    {
        var shop = await cluster.NamespaceAsync($"away-{how}");
        using var view = new ClusterView(cluster);
        var outage = new OutageHandler(how == "silent" ? null : HttpStatusCode.ServiceUnavailable);
        await using var running = cluster.StartOperator(shop, configure: options => options with { ApiHandlers = () => [outage] });
        await cluster.ApplyAsync(Resources, "-n", shop);
        await Eventually.TrueAsync(() => view.IsReportedAsync(shop));

        outage.Begin();
        var before = outage.Requests;
        await Task.Delay(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        var rate = (outage.Requests - before) / 10.0;
        TestContext.Current.TestOutputHelper?.WriteLine($"{rate.ToString(CultureInfo.InvariantCulture)} requests a second");
        // Thirteen watches, each begun again after 0.2 s, then twice as late each time, to 15 s.
        Assert.InRange(rate, 0.5, 20);

        (await cluster.KubectlAsync("delete", "-n", shop, "service/moe")).EnsureSuccess();
        outage.End();
        await Eventually.EqualAsync("moe", () => cluster.GetAsync(shop, "service/moe", ".metadata.name"));
        Assert.False(running.Completion.IsCompleted);
    }

    [Fact]
    public async Task Two_that_lead_at_once_never_take_back_what_the_other_wrote()
    {
        var shop = await cluster.NamespaceAsync("two-leaders");
        using var view = new ClusterView(cluster);
        await cluster.ApplyAsync(Resources, "-n", shop);
        // Neither asks for a Lease: both believe that they lead, for as long as the test lasts.
        await using var first = cluster.StartOperator(shop, "one");
        await using var second = cluster.StartOperator(shop, "two");
        await Eventually.EqualAsync("moe", () => cluster.GetAsync(shop, "deployment/moe", ".metadata.name"));

        var seen = new ConcurrentQueue<int>();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var watching = WatchAsync(view.Api, shop, seen, stop.Token);
        const int Changes = 25;
        // Above the default: its text may be written once more, when its fields become an applier's.
        const int Least = 1000;
        for (var change = 1; change <= Changes; change++)
        {
            (await cluster.KubectlAsync("patch", "-n", shop, "moe/moe", "--type=merge", "-p", $"{{\"spec\":{{\"serving\":{{\"maxBatchTokens\":{(Least + change).ToString(CultureInfo.InvariantCulture)}}}}}}}")).EnsureSuccess();
        }

        await Eventually.EqualAsync(Least + Changes, () => Task.FromResult(seen.LastOrDefault()));
        await Eventually.TrueAsync(() => view.IsReportedAsync(shop));
        await stop.CancelAsync();
        await watching;
        Assert.Equal(seen.Order(), seen);
        Assert.True(seen.Distinct().Count() > 1);
    }

    private static async Task WatchAsync(ApiClient api, string @namespace, ConcurrentQueue<int> seen, CancellationToken cancellationToken)
    {
        var type = ResourceType.Of<V1ConfigMap>();
        try
        {
            var (_, version) = await api.ListAsync(type, @namespace, null, item => item.GetRawText(), cancellationToken);
            await foreach (var change in api.WatchAsync(type, @namespace, null, version, TimeSpan.FromMinutes(5), cancellationToken))
            {
                if (change.Key.Name == "moe-config" && Tokens().Match((string?)JsonNode.Parse(change.Json.Span)!["data"]?["inference.yaml"] ?? "") is { Success: true } match)
                    seen.Enqueue(int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));
            }
        }
        catch (OperationCanceledException)
        {
            // The test is over.
        }
    }

    [GeneratedRegex("maxBatchTokens: (\\d+)")]
    private static partial Regex Tokens();
}

/// <summary>An API server whose etcd can be made slow.</summary>
public sealed class SlowCluster() : Moebius.KubernetesEnvironment.KubernetesTestServer(new Moebius.KubernetesEnvironment.KubernetesTestServerOptions { SlowableEtcd = true })
{
    protected override async Task PrepareAsync()
    {
        await InstallCrdsAsync(RepositoryFiles.At("crds/manifests"));
        (await KubectlAsync("create", "namespace", "moebius-system")).EnsureSuccess();
        (await KubectlAsync("apply", "-f", RepositoryFiles.At("operator/manifests/rbac.yaml"))).EnsureSuccess();
    }
}

[Trait("Category", "Cluster")]
public sealed class SlowServerTests(SlowCluster cluster) : IClassFixture<SlowCluster>
{
    [Fact]
    public async Task An_etcd_that_takes_half_a_second_is_waited_for()
    {
        (await cluster.KubectlAsync("create", "namespace", "slow")).EnsureSuccess();
        cluster.EtcdDelay = TimeSpan.FromMilliseconds(500);
        var configuration = cluster.CreateConfiguration(OperatorCluster.OperatorUser, "system:serviceaccounts");
        await using var running = new RunningOperator(configuration, "slow", "patient", leaderElect: true, null, null);
        (await cluster.KubectlAsync(["apply", "--validate=false", "-n", "slow", "-f", "-"], """
            apiVersion: moebius.dev/v1alpha1
            kind: MoEDeployment
            metadata: {name: moe}
            spec:
              model: {source: {hostPath: {path: /models/austen}}}
            """)).EnsureSuccess();
        await Eventually.EqualAsync("moe ReplicasNotReady", () => cluster.ReadAsync("slow", "moe/moe", "{.metadata.name} {.status.conditions[?(@.type=='Ready')].reason}"));
        Assert.Equal("moe", await cluster.ReadAsync("slow", "deployment/moe", "{.metadata.name}"));
        Assert.False(running.Completion.IsCompleted);
        cluster.EtcdDelay = TimeSpan.Zero;
    }
}
