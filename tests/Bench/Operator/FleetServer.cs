using System.Diagnostics;
using System.Globalization;
using Moebius.KubernetesEnvironment;

namespace Moebius.Bench.Operator;

/// <summary>A real API server with the operator as a process of its own, under exactly its own rights.</summary>
internal sealed class FleetServer : IAsyncDisposable
{
    /// <summary>As many requests at a time as the operator works on objects.</summary>
    private const int Clients = 16;

    /// <summary>Objects that the operator works on at once; another number than its default by MOEBIUS_BENCH_WORKERS.</summary>
    private static readonly string[] Workers = Environment.GetEnvironmentVariable("MOEBIUS_BENCH_WORKERS") is { Length: > 0 } asked ? [$"--workers={asked}"] : [];

    private FleetServer(KubernetesTestServer server, BareClient api, ProductProcess process, int port) => (Server, Api, Process, Port) = (server, api, process, port);

    public KubernetesTestServer Server { get; }

    public BareClient Api { get; }

    public ProductProcess Process { get; }

    /// <summary>Where the operator's metrics are.</summary>
    public int Port { get; }

    public static async Task<FleetServer> StartAsync()
    {
        var root = ProductProcess.Repository;
        var server = await KubernetesTestServer.StartAsync();
        await server.InstallCrdsAsync(Path.Combine(root, "crds/manifests"));
        (await server.KubectlAsync("create", "namespace", "moebius-system")).EnsureSuccess();
        (await server.KubectlAsync("apply", "-f", Path.Combine(root, "operator/manifests/rbac.yaml"))).EnsureSuccess();
        var port = LoopbackPorts.Take();
        var process = ProductProcess.Start(
            ["operator", "run", $"--kubeconfig={server.CreateKubeconfig("system:serviceaccount:moebius-system:moebius-operator", "system:serviceaccounts")}",
            $"--listen=127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}", "--leader-elect=false", .. Workers]);
        await process.SaysAsync("Caches are filled");
        return new FleetServer(server, new BareClient(server.Configuration, Clients), process, port);
    }

    /// <summary>Creates MoEDeployments at once.</summary>
    /// <returns>Seconds from the first request until the last child exists.</returns>
    public async Task<double> CreateFleetAsync(string @namespace, int count)
    {
        (await Server.KubectlAsync("create", "namespace", @namespace)).EnsureSuccess();
        var since = Stopwatch.GetTimestamp();
        var creating = Api.ForEachAsync(Enumerable.Range(0, count), index =>
            Api.CreateAsync($"apis/moebius.dev/v1alpha1/namespaces/{@namespace}/moedeployments", Fleet.Resource(index, @namespace)));
        // The Deployment is the last child of each.
        while (await Api.CountAsync($"apis/apps/v1/namespaces/{@namespace}/deployments") < count)
            await Task.Delay(200);
        var taken = Stopwatch.GetElapsedTime(since).TotalSeconds;
        await creating;
        return taken;
    }

    /// <summary>Makes the children as a client would that does nothing else.</summary>
    /// <param name="namespace">Where.</param>
    /// <param name="count">Of how many MoEDeployments.</param>
    /// <param name="apply">Server-side, as the operator does, instead of creating them.</param>
    /// <returns>Seconds.</returns>
    public async Task<double> CreateBareAsync(string @namespace, int count, bool apply)
    {
        (await Server.KubectlAsync("create", "namespace", @namespace)).EnsureSuccess();
        var since = Stopwatch.GetTimestamp();
        await Api.ForEachAsync(Enumerable.Range(0, count), async index =>
        {
            foreach (var (collection, body) in Fleet.ChildrenOf(index, @namespace))
                await (apply ? Api.ApplyAsync(collection, body) : Api.CreateAsync(collection, body));
        });
        return Stopwatch.GetElapsedTime(since).TotalSeconds;
    }

    /// <summary>Quantiles of what a reconciliation of a MoEDeployment takes without its API calls, from the operator's own histograms.</summary>
    /// <param name="measure">On the clock, or of a processor.</param>
    /// <param name="since">Metrics of before, which do not count; null: all count.</param>
    /// <param name="shares">From 0 to 1.</param>
    public async Task<double[]> MillisecondsAsync(Measure measure, string? since, params double[] shares)
    {
        var metrics = await MetricsAsync();
        var name = measure == Measure.Processor ? "moebius_operator_reconcile_cpu_seconds" : "moebius_operator_reconcile_compute_seconds";
        return [.. shares.Select(share => Histogram.Quantile(metrics, name, "moedeployment", share, since) * 1000)];
    }

    /// <summary>What the operator says of itself.</summary>
    public async Task<string> MetricsAsync()
    {
        using var http = new HttpClient();
        return await http.GetStringAsync(new Uri($"http://127.0.0.1:{Port}/metrics"));
    }

    public async ValueTask DisposeAsync()
    {
        await Process.DisposeAsync();
        Api.Dispose();
        await Server.DisposeAsync();
    }
}

/// <summary>What time is counted.</summary>
internal enum Measure
{
    /// <summary>From begin to end, with the waits for a processor.</summary>
    Clock,

    /// <summary>On a processor.</summary>
    Processor,
}
