using k8s;
using Moebius.KubernetesEnvironment.Node;
using Xunit;

namespace Moebius.KubernetesEnvironment;

/// <summary>
/// A real Kubernetes API for tests: etcd, kube-apiserver with RBAC and CRDs with CEL rules, on free ports of the loopback
/// address, in a folder of its own, with its own certificates. Everything ends with <see cref="DisposeAsync"/> and, should
/// that never be called, with the process.
/// <para>
/// Use it as an xunit fixture (<c>IClassFixture&lt;KubernetesTestServer&gt;</c>, a collection or assembly fixture; derive a
/// class with a parameterless constructor to choose options, and override <see cref="PrepareAsync"/> to install CRDs), or
/// call <see cref="StartAsync"/>. When the programs are missing, the fixture stays empty and every test that uses it is
/// skipped with the reason.
/// </para>
/// </summary>
public partial class KubernetesTestServer : IAsyncLifetime
{
    private readonly KubernetesTestServerOptions _options;
    private readonly List<ServerProcess> _processes = [];
    private ServerPorts _ports = ServerPorts.Take();
    private DelayProxy? _etcdProxy;
    private readonly CertificateAuthority _authority = new();
    private readonly PemPair _administrator;
    private ServerFiles? _files;
    private KubernetesAssets? _assets;
    private ApiConnection? _api;
    private ResourcePaths? _paths;
    private CustomResources? _customResources;
    private AuditLog? _audit;
    private KubernetesAssetsMissingException? _missing;
    private KubernetesNode? _node;
    private int _kubeconfigs;

    /// <summary>A server with default options, not started yet.</summary>
    public KubernetesTestServer()
        : this(new KubernetesTestServerOptions())
    {
    }

    /// <summary>A server that is not started yet, for derived fixtures.</summary>
    /// <param name="options">What to start.</param>
    protected KubernetesTestServer(KubernetesTestServerOptions options)
    {
        _options = options;
        _administrator = _authority.IssueClient("admin", "system:masters");
    }

    /// <summary>The address of kube-apiserver; it stays the same when the server is restarted.</summary>
    public Uri ApiServer => Api.Address;

    /// <summary>A kubeconfig of a member of <c>system:masters</c>.</summary>
    public string AdminKubeconfigPath => Files.AdminKubeconfig;

    /// <summary>The same for the C# client; every call makes a new one.</summary>
    public KubernetesClientConfiguration Configuration => KubernetesClientConfiguration.BuildConfigFromConfigFile(AdminKubeconfigPath);

    /// <summary>The programs that run.</summary>
    public KubernetesAssets Assets => Usable(_assets);

    /// <summary>Whether CRDs are served by a newer server behind the core's aggregator.</summary>
    public bool CustomResourcesServedApart => Assets.NeedsSeparateCustomResourceServer && !_options.CustomResourcesFromCore;

    /// <summary>What clients asked of the API server.</summary>
    public AuditLog Audit => Usable(_audit);

    /// <summary>The node that runs pods, when the options ask for one.</summary>
    public KubernetesNode Node => Usable(_node);

    /// <summary>The process ids of the servers that run.</summary>
    public IReadOnlyList<int> ProcessIds => [.. _processes.Select(p => p.Id)];

    private ServerFiles Files => Usable(_files);

    private ApiConnection Api => Usable(_api);

    /// <summary>Starts a server.</summary>
    /// <param name="options">What to start; null for the defaults.</param>
    /// <exception cref="KubernetesAssetsMissingException">The programs are not on this machine.</exception>
    public static async Task<KubernetesTestServer> StartAsync(KubernetesTestServerOptions? options = null)
    {
        var server = new KubernetesTestServer(options ?? new KubernetesTestServerOptions());
        await server.InitializeAsync().ConfigureAwait(false);
        if (server._missing is null)
            return server;
        await server.DisposeAsync().ConfigureAwait(false);
        throw server._missing;
    }

    /// <summary>
    /// Starts the server; returns when it is ready. xunit calls it on fixtures. When the programs are missing it returns
    /// without a server, and whatever is asked of it later throws <see cref="KubernetesAssetsMissingException"/>: xunit
    /// skips a test for that, where it would fail every test of a fixture that throws here.
    /// </summary>
    public async ValueTask InitializeAsync()
    {
        try
        {
            _assets = await KubernetesAssets.FindAsync().ConfigureAwait(false);
            _files = new ServerFiles();
            AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
            await StartAllAsync().ConfigureAwait(false);
            await PrepareAsync().ConfigureAwait(false);
        }
        catch (KubernetesAssetsMissingException missing)
        {
            _missing = missing;
        }
        catch
        {
            await DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>A client of the API as the administrator.</summary>
    public IKubernetes CreateClient() => new Kubernetes(Configuration);

    /// <summary>
    /// Writes a kubeconfig for another user, who may do what RBAC lets them: for a service account, the user
    /// <c>system:serviceaccount:NAMESPACE:NAME</c> in the groups <c>system:serviceaccounts</c> and
    /// <c>system:serviceaccounts:NAMESPACE</c>.
    /// </summary>
    /// <param name="user">The user's name.</param>
    /// <param name="groups">The groups beside <c>system:authenticated</c>.</param>
    /// <returns>The path of the file.</returns>
    public string CreateKubeconfig(string user, params string[] groups)
    {
        var path = Path.Combine(Files.Root, FormattableString.Invariant($"user-{Interlocked.Increment(ref _kubeconfigs)}.kubeconfig"));
        File.WriteAllText(path, Kubeconfig.Render(ApiServer, _authority.CertificatePem, _authority.IssueClient(user, groups)));
        return path;
    }

    /// <summary>The configuration of the C# client for another user; see <see cref="CreateKubeconfig"/>.</summary>
    /// <param name="user">The user's name.</param>
    /// <param name="groups">The groups beside <c>system:authenticated</c>.</param>
    public KubernetesClientConfiguration CreateConfiguration(string user, params string[] groups) =>
        KubernetesClientConfiguration.BuildConfigFromConfigFile(CreateKubeconfig(user, groups));

    /// <summary>
    /// Applies CRDs and returns when their resources can be listed and discovered. A field that the server does not know is
    /// an error where the server can tell.
    /// </summary>
    /// <param name="paths">YAML files of CRDs, or folders of them.</param>
    public async Task InstallCrdsAsync(params string[] paths)
    {
        await Usable(_customResources).InstallAsync(paths, CancellationToken.None).ConfigureAwait(false);
        // The garbage collector looks for new kinds every 30 s only; a new one sees them at once.
        if (await StopAsync(Programs.ControllerManager).ConfigureAwait(false))
            await StartControllerManagerAsync().ConfigureAwait(false);
    }

    /// <summary>Removes a CRD that <see cref="InstallCrdsAsync"/> installed, and its group, which must have no other.</summary>
    /// <param name="plural">The resource's plural name.</param>
    /// <param name="version">Its version.</param>
    /// <param name="group">Its group.</param>
    public async Task RemoveCrdAsync(string plural, string version, string group)
    {
        Usable(_customResources).Forget($"{plural}.{group}");
        (await KubectlAsync("delete", "crd", $"{plural}.{group}").ConfigureAwait(false)).EnsureSuccess();
        if (CustomResourcesServedApart)
            (await KubectlAsync("delete", "apiservice", $"{version}.{group}", "--ignore-not-found").ConfigureAwait(false)).EnsureSuccess();
    }

    /// <summary>Runs kubectl as the administrator and waits for its end.</summary>
    /// <param name="arguments">Its arguments.</param>
    public Task<CommandResult> KubectlAsync(params string[] arguments) => KubectlAsync(arguments, null);

    /// <summary>Runs kubectl and waits for its end.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="standardInput">What it reads from standard input, for <c>-f -</c>.</param>
    /// <param name="kubeconfig">Whose kubeconfig; null for the administrator's.</param>
    /// <param name="cancellationToken">Kills it.</param>
    public Task<CommandResult> KubectlAsync(IEnumerable<string> arguments, string? standardInput, string? kubeconfig = null, CancellationToken cancellationToken = default) =>
        RunClientAsync(Programs.Kubectl, arguments, standardInput, kubeconfig, cancellationToken);

    /// <summary>Runs helm and waits for its end.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="kubeconfig">Whose kubeconfig; null for the administrator's.</param>
    /// <param name="cancellationToken">Kills it.</param>
    public Task<CommandResult> HelmAsync(IEnumerable<string> arguments, string? kubeconfig = null, CancellationToken cancellationToken = default) =>
        RunClientAsync(Programs.Helm, arguments, null, kubeconfig, cancellationToken);

    /// <summary>Ends kube-apiserver as a crash would; its data stays.</summary>
    public async Task StopApiServerAsync() => await StopAsync(Programs.ApiServer).ConfigureAwait(false);

    /// <summary>Starts kube-apiserver again, on the same port with the same data; returns when it is ready.</summary>
    public async Task StartApiServerAsync()
    {
        StartApiServer();
        await WaitReadyAsync(Programs.ApiServer, Api).ConfigureAwait(false);
        await _customResources!.WaitAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>How late requests reach etcd; only with <see cref="KubernetesTestServerOptions.SlowableEtcd"/>.</summary>
    public TimeSpan EtcdDelay
    {
        set => Usable(_etcdProxy).Delay = value;
    }

    /// <summary>What a derived fixture does once the server is ready, such as installing CRDs.</summary>
    protected virtual Task PrepareAsync() => Task.CompletedTask;

    /// <summary>What a server printed so far.</summary>
    /// <param name="program">etcd, kube-apiserver, apiextensions-apiserver or kube-controller-manager.</param>
    public string ReadLog(string program) => ServerProcess.ReadShared(Path.Combine(Files.Logs, program + ".log"));

    /// <summary>Imports the images that the node needs before its first pod, <see cref="KubernetesTestServerOptions.NodePauseImage"/> among them.</summary>
    protected virtual Task ImportNodeImagesAsync(KubernetesNode node) => Task.CompletedTask;

    /// <summary>What a derived fixture does once no pod runs any more, such as removing files that pods used.</summary>
    protected virtual Task CleanUpAsync() => Task.CompletedTask;

    /// <summary>Ends all servers and removes their files.</summary>
    public async ValueTask DisposeAsync()
    {
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        if (_node is not null)
            await _node.DisposeAsync().ConfigureAwait(false);
        _node = null;
        await CleanUpAsync().ConfigureAwait(false);
        foreach (var process in _processes.AsEnumerable().Reverse())
            await process.DisposeAsync().ConfigureAwait(false);
        _processes.Clear();
        if (_etcdProxy is not null)
            await _etcdProxy.DisposeAsync().ConfigureAwait(false);
        _api?.Dispose();
        _files?.Dispose();
        _authority.Dispose();
        GC.SuppressFinalize(this);
    }

    private async Task StartAllAsync()
    {
        if (_options.NodePauseImage is not null)
            _node = await KubernetesNode.TakeMachineAsync(Assets).ConfigureAwait(false);
        Files.WritePki(_authority);
        var address = new Uri(FormattableString.Invariant($"https://127.0.0.1:{_ports.ApiServer}"));
        await File.WriteAllTextAsync(Files.AdminKubeconfig, Kubeconfig.Render(address, _authority.CertificatePem, _administrator)).ConfigureAwait(false);
        _api = new ApiConnection(_ports.ApiServer, _authority.CertificatePem, _administrator);
        _paths = new ResourcePaths(_api);
        _audit = new AuditLog(Files.AuditLog, _api, _options.Timeout);
        _customResources = new CustomResources(
            _api,
            _ports,
            CustomResourcesServedApart,
            _authority.CertificatePem,
            Assets.NeedsSeparateCustomResourceServer && !CustomResourcesServedApart ? ApplyLenientlyAsync : null,
            _options.Timeout);

        Start(Programs.Etcd, ServerArguments.Etcd(Files, _ports));
        await WaitForEtcdAsync().ConfigureAwait(false);
        if (_options.SlowableEtcd)
        {
            // From here on every server comes to etcd through the proxy.
            _etcdProxy = new DelayProxy(_ports.Etcd);
            _ports = _ports with { Etcd = _etcdProxy.Port };
        }

        StartApiServer();
        if (CustomResourcesServedApart)
            Start(Programs.Extensions, ServerArguments.Extensions(Files, _ports));
        await WaitReadyAsync(Programs.ApiServer, Api).ConfigureAwait(false);
        if (CustomResourcesServedApart)
            await _customResources.RouteDefinitionsAsync(CancellationToken.None).ConfigureAwait(false);
        if (_options.ControllerManager)
            await StartControllerManagerAsync().ConfigureAwait(false);
        if (_node is not null)
            await StartNodeAsync(_node, _options.NodePauseImage!).ConfigureAwait(false);
    }

    private async Task StartNodeAsync(KubernetesNode node, string pauseImage)
    {
        await File.WriteAllTextAsync(Files.NodeKubeconfig, Kubeconfig.Render(ApiServer, _authority.CertificatePem, _authority.IssueClient("system:node:" + KubernetesNode.Name, "system:nodes"))).ConfigureAwait(false);
        await node.StartContainerdAsync(Files, pauseImage, _options.Timeout).ConfigureAwait(false);
        await ImportNodeImagesAsync(node).ConfigureAwait(false);
        node.StartKubelet(Assets, Files);
        await WaitAsync(Programs.Kubelet, Api, async token =>
        {
            node.ThrowIfExited();
            var status = await Api.GetAsync($"api/v1/nodes/{KubernetesNode.Name}", token).ConfigureAwait(false);
            return status?["status"]?["conditions"]?.AsArray().Any(condition => (string?)condition!["type"] == "Ready" && (string?)condition["status"] == "True") ?? false;
        }).ConfigureAwait(false);
    }

    private async Task ApplyLenientlyAsync(string manifest, CancellationToken cancellationToken) =>
        (await KubectlAsync(["apply", "--validate=false", "-f", "-"], manifest, null, cancellationToken).ConfigureAwait(false)).EnsureSuccess();

    private void StartApiServer() => Start(
        Programs.ApiServer,
        ServerArguments.ApiServer(Files, _ports, CustomResourcesServedApart, _options.ControllerManager && _options.Controllers.Any(name => name is "*" or "serviceaccount"),
        _node is not null));

    private async Task StartControllerManagerAsync()
    {
        Start(Programs.ControllerManager, ServerArguments.ControllerManager(Files, _ports, _options.Controllers, Assets.ServerVersion));
        using var manager = new ApiConnection(_ports.ControllerManager, _authority.CertificatePem, _administrator);
        await WaitAsync(Programs.ControllerManager, manager, token => manager.AnswersAsync("healthz", token)).ConfigureAwait(false);
    }

    private async Task WaitForEtcdAsync()
    {
        using var client = new HttpClient { BaseAddress = new Uri(FormattableString.Invariant($"http://127.0.0.1:{_ports.Etcd}/")) };
        await WaitAsync(Programs.Etcd, Api, async token =>
        {
            try
            {
                return (await client.GetStringAsync("health", token).ConfigureAwait(false)).Contains("true", StringComparison.Ordinal);
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }).ConfigureAwait(false);
    }

    private Task WaitReadyAsync(string program, ApiConnection connection) => WaitAsync(program, connection, token => connection.AnswersAsync("readyz", token));

    private Task WaitAsync(string program, ApiConnection connection, Func<CancellationToken, Task<bool>> ready) => connection.UntilAsync(
        $"{program} is ready",
        token =>
        {
            foreach (var process in _processes)
                process.ThrowIfExited();
            return ready(token);
        },
        _options.Timeout,
        CancellationToken.None);

    private void Start(string program, IEnumerable<string> arguments) => _processes.Add(ServerProcess.Start(Assets.Program(program), arguments, Files.Logs));

    private async Task<bool> StopAsync(string program)
    {
        if (_processes.Find(p => p.Name == program) is not { } process)
            return false;
        _processes.Remove(process);
        await process.DisposeAsync().ConfigureAwait(false);
        return true;
    }

    private Task<CommandResult> RunClientAsync(string program, IEnumerable<string> arguments, string? standardInput, string? kubeconfig, CancellationToken cancellationToken) =>
        Command.RunAsync(Assets.Program(program), arguments, standardInput, ClientEnvironment(kubeconfig ?? AdminKubeconfigPath), cancellationToken);

    /// <summary>Nothing of the user's own configuration or caches reaches a test's kubectl or helm.</summary>
    private Dictionary<string, string> ClientEnvironment(string kubeconfig) => new()
    {
        ["KUBECONFIG"] = kubeconfig,
        ["KUBECACHEDIR"] = Files.KubectlCache,
        ["HOME"] = Files.Root,
        ["XDG_CACHE_HOME"] = Files.Root,
        ["XDG_CONFIG_HOME"] = Files.Root,
        ["XDG_DATA_HOME"] = Files.Root,
    };

    private void OnProcessExit(object? sender, EventArgs e)
    {
        foreach (var process in _processes)
            process.Kill();
        _files?.Dispose();
    }

    private T Usable<T>(T? part)
        where T : class
    {
        if (_missing is not null)
            throw _missing;
        return part ?? throw new InvalidOperationException("The Kubernetes test server is not started; await InitializeAsync or use StartAsync");
    }
}
