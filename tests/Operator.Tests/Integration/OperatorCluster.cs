using System.Net;
using k8s;
using Microsoft.Extensions.Logging;
using Moebius.KubernetesEnvironment;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Tests.Integration;

/// <summary>
/// A real API server with the CRDs and the operator's own rights, and a garbage collector. No workload controllers: the
/// tests say what became of pods.
/// </summary>
public sealed class OperatorCluster() : KubernetesTestServer(new KubernetesTestServerOptions { ControllerManager = true, Controllers = ["garbagecollector", "namespace"] })
{
    internal const string OperatorUser = $"system:serviceaccount:{OperatorSettings.DefaultNamespace}:{Labels.Manager}";

    protected override async Task PrepareAsync()
    {
        await InstallCrdsAsync(RepositoryFiles.At("crds/manifests"));
        (await KubectlAsync("create", "namespace", OperatorSettings.DefaultNamespace)).EnsureSuccess();
        (await KubectlAsync("apply", "-f", RepositoryFiles.At("operator/manifests/rbac.yaml"))).EnsureSuccess();
    }

    /// <summary>A fresh namespace.</summary>
    internal async Task<string> NamespaceAsync(string name)
    {
        (await KubectlAsync("create", "namespace", name)).EnsureSuccess();
        return name;
    }

    /// <summary>An operator with exactly the rights of the generated roles.</summary>
    internal RunningOperator StartOperator(string? @namespace = null, string identity = "one", bool leaderElect = false, string user = OperatorUser, HttpMessageHandler? service = null, Func<OperatorOptions, OperatorOptions>? configure = null, TimeProvider? time = null) =>
        new(CreateConfiguration(user, "system:serviceaccounts"), @namespace, identity, leaderElect, service, configure, time);

    /// <summary>Applies YAML as a user would.</summary>
    internal async Task ApplyAsync(string yaml, params string[] more) =>
        (await KubectlAsync(["apply", "--validate=false", "-f", "-", .. more], yaml)).EnsureSuccess();

    /// <summary>A field by JSON path; empty when it or the object is missing.</summary>
    internal Task<string> GetAsync(string @namespace, string what, string jsonPath) => ReadAsync(@namespace, what, $"{{{jsonPath}}}", TestContext.Current.CancellationToken);

    internal async Task<string> ConditionAsync(string @namespace, string what, string type, string field = "status") =>
        await GetAsync(@namespace, what, $".status.conditions[?(@.type=='{type}')].{field}");
}

/// <summary>One cluster for most tests that need one; starting it takes longer than most of them.</summary>
[CollectionDefinition(Name)]
public sealed class ClusterTests : ICollectionFixture<OperatorCluster>
{
    public const string Name = "cluster";
}

/// <summary>Another one, in which tests mostly wait: for leases, back-offs and what must not happen. Those of the first go on meanwhile.</summary>
[CollectionDefinition(Name)]
public sealed class WaitingTests : ICollectionFixture<OperatorCluster>
{
    public const string Name = "cluster of those who wait";
}

/// <summary>An operator inside the test's process.</summary>
internal sealed class RunningOperator : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly ILoggerFactory _loggers = LoggerFactory.Create(builder => builder.AddSimpleConsole(console => console.SingleLine = true).SetMinimumLevel(LogLevel.Information));

    public RunningOperator(KubernetesClientConfiguration configuration, string? @namespace, string identity, bool leaderElect, HttpMessageHandler? service, Func<OperatorOptions, OperatorOptions>? configure, TimeProvider? time = null)
    {
        var options = new OperatorOptions(OperatorSettings.Default, @namespace, new IPEndPoint(IPAddress.Loopback, 0), leaderElect, identity);
        if (service is not null)
            options = options with { ServiceHandler = () => service };
        if (configure is not null)
            options = configure(options);
        Completion = Task.Run(() => new OperatorHost(options, configuration, time ?? TimeProvider.System, _loggers).RunAsync(_stop.Token));
    }

    public Task<bool> Completion { get; }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Completion;
        _stop.Dispose();
        _loggers.Dispose();
    }
}
