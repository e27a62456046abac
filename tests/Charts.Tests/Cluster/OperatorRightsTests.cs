using System.CommandLine;
using Moebius.KubernetesEnvironment;
using Moebius.Operator;

namespace Moebius.Charts.Tests.Cluster;

/// <summary>The operator, started with the arguments and the rights that the chart gives it, does its work.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class OperatorRightsTests(ChartCluster cluster) : IAsyncLifetime
{
    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await cluster.ClearAsync();

    [Theory]
    [InlineData("shop-of-all", "")]
    [InlineData("shop-alone", "shop-alone")]
    public async Task Operator_works_with_what_the_chart_gives_it(string shop, string watch)
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.KubectlAsync("create", "namespace", shop)).EnsureSuccess();
        (await cluster.InstallOperatorAsync("--set", $"watchNamespace={watch}")).EnsureSuccess();
        var spec = (await cluster.GetAsync("deployment", "moebius-operator", ChartCluster.OperatorNamespace))!["spec"]!["template"]!["spec"]!;
        var account = $"system:serviceaccount:{ChartCluster.OperatorNamespace}:{spec["serviceAccountName"]}";
        var listen = $"127.0.0.1:{LoopbackPorts.Take()}";
        string[] arguments =
        [
            .. spec["containers"]![0]!["args"]!.AsArray().Select(argument => (string)argument!).Where(argument => !argument.StartsWith("--listen=", StringComparison.Ordinal)),
            $"--listen={listen}",
            $"--kubeconfig={cluster.CreateKubeconfig(account, "system:serviceaccounts", $"system:serviceaccounts:{ChartCluster.OperatorNamespace}")}",
        ];
        await cluster.ApplyAsync($"""
            apiVersion: moebius.dev/v1alpha1
            kind: MoEDeployment
            metadata:
              name: austen
              namespace: {shop}
            spec:
              model:
                source:
                  hostPath:
                    path: /models/austen
              experts:
                fastMemory: 6Mi
            ---
            apiVersion: moebius.dev/v1alpha1
            kind: MemorySchedulingProfile
            metadata:
              name: cxl
            spec:
              policy:
                strategy: Auto
            """);

        using var stop = new CancellationTokenSource();
        var program = new RootCommand();
        foreach (var command in OperatorCommands.Create())
            program.Add(command);
        var running = program.Parse(arguments).InvokeAsync(cancellationToken: stop.Token);
        try
        {
            using var http = new HttpClient { BaseAddress = new Uri($"http://{listen}/") };
            await Eventually.TrueAsync(async () =>
            {
                Assert.False(running.IsCompleted, "the operator has ended");
                return await AnswersAsync(http, "readyz");
            });
            await Eventually.TrueAsync(async () => await cluster.GetAsync("deployment", "austen", shop) is not null);
            if (watch.Length == 0)
                await Eventually.TrueAsync(async () => await cluster.FindAsync("moebius-node-agents", "daemonsets") is { } sets && sets["items"]!.AsArray().Count > 0);

            var lease = watch.Length == 0
                ? await cluster.GetAsync("lease", "moebius-operator", "moebius-node-agents")
                : await cluster.GetAsync("lease", $"moebius-operator-{watch}", ChartCluster.OperatorNamespace);
            Assert.NotNull(lease);
            var metrics = await http.GetStringAsync("metrics");
            Assert.Contains("moebius_operator_api_requests_total{", metrics, StringComparison.Ordinal);
            Assert.DoesNotContain("code=\"403\"", metrics, StringComparison.Ordinal);
            // What dashboards ask the operator for is there; what has not happened here has no series yet.
            string[] events = ["moebius_operator_admissions_total", "relist", "watch_errors"];
            Assert.All(
                SourceMetrics.All.Keys.Where(name => name.StartsWith("moebius_operator_", StringComparison.Ordinal) && !events.Any(part => name.Contains(part, StringComparison.Ordinal))),
                name => Assert.Contains("\n" + name, metrics, StringComparison.Ordinal));

            // The rights are enough to let go of a profile, too.
            if (watch.Length == 0)
                (await cluster.KubectlAsync("delete", "memoryschedulingprofile", "cxl", "--timeout=60s")).EnsureSuccess();
        }
        finally
        {
            await stop.CancelAsync();
            Assert.Equal(0, await running);
        }
    }

    private static async Task<bool> AnswersAsync(HttpClient http, string path)
    {
        try
        {
            using var answer = await http.GetAsync(new Uri(path, UriKind.Relative));
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
