using System.Diagnostics;
using System.Globalization;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.KubernetesEnvironment;

namespace Moebius.Bench.Operator;

/// <summary>A real API server with the operator as a process of its own, under exactly its own rights.</summary>
internal sealed class FleetServer : IAsyncDisposable
{
    /// <summary>As many requests at a time as the operator works on objects.</summary>
    private const int Clients = 16;

    /// <summary>Objects that the operator works on at once; another number than its default by MOEBIUS_BENCH_WORKERS.</summary>
    private static readonly string[] Workers = Environment.GetEnvironmentVariable("MOEBIUS_BENCH_WORKERS") is { Length: > 0 } asked ? [$"--workers={asked}"] : [];

    /// <summary>Whether the operator has the last processor to itself, and all others share the rest: MOEBIUS_BENCH_APART=1.</summary>
    public static bool IsApart => Setting.Number("MOEBIUS_BENCH_APART", 0) == 1;

    private ProductProcess? _process;

    private FleetServer(KubernetesTestServer server) => (Server, Api) = (server, new BareClient(server.Configuration, Clients));

    public KubernetesTestServer Server { get; }

    public BareClient Api { get; }

    /// <summary>The operator.</summary>
    public ProductProcess Process => _process ?? throw new InvalidOperationException("the operator does not run yet");

    /// <summary>Where the operator's metrics are.</summary>
    public int Port { get; } = LoopbackPorts.Take();

    /// <param name="before">What to do before the operator runs.</param>
    public static async Task<FleetServer> StartAsync(Func<FleetServer, Task>? before = null)
    {
        var fleet = new FleetServer(await KubernetesTestServer.StartAsync());
        try
        {
            await fleet.PrepareAsync();
            if (before is not null)
                await before(fleet);
            await fleet.StartOperatorAsync();
            return fleet;
        }
        catch
        {
            await fleet.DisposeAsync();
            throw;
        }
    }

    private async Task PrepareAsync()
    {
        var root = RepositoryFiles.Root;
        await Server.InstallCrdsAsync(Path.Combine(root, "crds/manifests"));
        (await Server.KubectlAsync("create", "namespace", "moebius-system")).EnsureSuccess();
        (await Server.KubectlAsync("apply", "-f", Path.Combine(root, "operator/manifests/rbac.yaml"))).EnsureSuccess();
    }

    private async Task StartOperatorAsync()
    {
        string[] arguments =
        [
            "operator", "run", $"--kubeconfig={Server.CreateKubeconfig("system:serviceaccount:moebius-system:moebius-operator", "system:serviceaccounts")}",
            $"--listen=127.0.0.1:{Port.ToString(CultureInfo.InvariantCulture)}", "--leader-elect=false", .. Workers,
        ];
        _process = IsApart ? StartApart(arguments) : ProductProcess.Start(WithEnvironment, arguments);
        await _process.SaysAsync("Caches are filled");
    }

    private ProductProcess StartApart(string[] arguments)
    {
        var last = Environment.ProcessorCount - 1;
        if (last < 1)
            throw new UserInputException("MOEBIUS_BENCH_APART: '1' needs two processors: leave it out");
        foreach (var other in Server.ProcessIds.Append(Environment.ProcessId))
        {
            // Threads that are there keep the processors they have, so each is told.
            using var told = System.Diagnostics.Process.Start(new ProcessStartInfo("taskset", ["-acp", $"0-{last - 1}", other.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true })!;
            told.StandardOutput.ReadToEnd();
        }

        return ProductProcess.Start(program =>
        {
            var start = WithEnvironment("taskset");
            foreach (var argument in new[] { "-c", last.ToString(CultureInfo.InvariantCulture), program })
                start.ArgumentList.Add(argument);
            return start;
        }, arguments);
    }

    /// <summary>A program with the environment that its pod would have.</summary>
    private static ProcessStartInfo WithEnvironment(string program)
    {
        var start = new ProcessStartInfo(program);
        var pod = KubernetesYaml.LoadAllFromString(File.ReadAllText(Path.Combine(RepositoryFiles.Root, "config/operator/operator.yaml"))).OfType<V1Deployment>().Single();
        // What this process was started with goes first: so a setting is tried.
        foreach (var variable in pod.Spec.Template.Spec.Containers.Single().Env.Where(variable => Environment.GetEnvironmentVariable(variable.Name) is null))
            start.Environment[variable.Name] = variable.Value;
        return start;
    }

    /// <summary>Creates MoEDeployments at once.</summary>
    /// <returns>Seconds from the first request until the last child exists.</returns>
    public async Task<double> CreateFleetAsync(string @namespace, int count)
    {
        (await Server.KubectlAsync("create", "namespace", @namespace)).EnsureSuccess();
        var since = Stopwatch.GetTimestamp();
        var creating = CreateResourcesAsync(@namespace, count);
        // The Deployment is the last child of each.
        while (await Api.CountAsync($"apis/apps/v1/namespaces/{@namespace}/deployments") < count)
            await Task.Delay(200);
        var taken = Stopwatch.GetElapsedTime(since).TotalSeconds;
        await creating;
        return taken;
    }

    /// <summary>Creates MoEDeployments and deletes them again, for nobody to look at.</summary>
    /// <returns>Seconds that creating them took.</returns>
    public async Task<double> CreateResourcesAloneAsync(string @namespace, int count)
    {
        (await Server.KubectlAsync("create", "namespace", @namespace)).EnsureSuccess();
        var since = Stopwatch.GetTimestamp();
        await CreateResourcesAsync(@namespace, count);
        var taken = Stopwatch.GetElapsedTime(since).TotalSeconds;
        await Api.DeleteAllAsync(ResourcesIn(@namespace));
        return taken;
    }

    private Task CreateResourcesAsync(string @namespace, int count) =>
        Api.ForEachAsync(Enumerable.Range(0, count), index => Api.CreateAsync(ResourcesIn(@namespace), Fleet.Resource(index, @namespace)));

    private static string ResourcesIn(string @namespace) => $"apis/moebius.dev/v1alpha1/namespaces/{@namespace}/moedeployments";

    /// <summary>Makes the children as a client would that does nothing else.</summary>
    /// <param name="namespace">Where.</param>
    /// <param name="count">Of how many MoEDeployments.</param>
    /// <returns>Seconds.</returns>
    public async Task<double> CreateBareAsync(string @namespace, int count)
    {
        (await Server.KubectlAsync("create", "namespace", @namespace)).EnsureSuccess();
        var since = Stopwatch.GetTimestamp();
        await Api.ForEachAsync(Enumerable.Range(0, count), async index =>
        {
            foreach (var (collection, body) in Fleet.ChildrenOf(index, @namespace))
                await Api.CreateAsync(collection, body);
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
        if (_process is not null)
            await _process.DisposeAsync();
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
