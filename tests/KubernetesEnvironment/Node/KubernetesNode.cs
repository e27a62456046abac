namespace Moebius.KubernetesEnvironment.Node;

/// <summary>
/// This machine as the one node of a test cluster: containerd, kubelet, kube-proxy and the scheduler run real pods. It needs
/// root, and a machine on which no other container runtime or kubelet is at work. It is gone after the test: processes,
/// mounts, network, packet filter rules, cgroups and folders.
/// </summary>
public sealed class KubernetesNode : IAsyncDisposable
{
    private readonly List<ServerProcess> _processes = [];
    private readonly string _tools;
    private readonly FileStream _lock;

    private KubernetesNode(string tools, FileStream machineLock)
    {
        _tools = tools;
        _lock = machineLock;
    }

    /// <summary>The node's name.</summary>
    public static string Name => NodeNetwork.Name;

    /// <summary>This machine's address as pods see it.</summary>
    public static string Address => NodeNetwork.NodeAddress;

    private Dictionary<string, string> Environment => new()
    {
        ["LD_LIBRARY_PATH"] = Path.Combine(_tools, "usr/lib/x86_64-linux-gnu"),
        ["XTABLES_LIBDIR"] = Path.Combine(_tools, "usr/lib/x86_64-linux-gnu/xtables"),
        ["PATH"] = $"{_tools}/usr/bin:{_tools}/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    };

    /// <summary>Takes the machine for a node, and prepares its network; the servers start later.</summary>
    /// <exception cref="KubernetesAssetsMissingException">This machine cannot be a node; the message says why.</exception>
    internal static async Task<KubernetesNode> TakeMachineAsync(KubernetesAssets assets)
    {
        if (!System.Environment.IsPrivilegedProcess)
            throw new KubernetesAssetsMissingException("a Kubernetes node needs root");
        foreach (var program in new[] { Programs.Kubelet, Programs.Proxy, Programs.Scheduler })
            _ = assets.Program(program);
        var tools = (await Command.RunAsync(KubernetesAssets.Script("node.sh"), []).ConfigureAwait(false)).EnsureSuccess().StandardOutput.Trim();
        var node = new KubernetesNode(tools, await LockAsync().ConfigureAwait(false));
        try
        {
            await node.CleanUpAsync().ConfigureAwait(false);
            foreach (var path in new[] { "/var/lib/kubelet", "/var/log/pods", "/run/containerd", "/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/cpu/kubepods" })
            {
                if (Path.Exists(path))
                    throw new KubernetesAssetsMissingException($"'{path}' exists: another kubelet or containerd works on this machine, and a test node would disturb it");
            }

            await node.PrepareAsync().ConfigureAwait(false);
            return node;
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Imports images from an archive, so that pods can use them.</summary>
    /// <param name="archive">A tar archive in the OCI image layout.</param>
    public async Task ImportImagesAsync(string archive) => (await CtrAsync("images", "import", archive).ConfigureAwait(false)).EnsureSuccess();

    /// <summary>Runs <c>ctr</c> on the images and containers of Kubernetes.</summary>
    /// <param name="arguments">Its arguments.</param>
    public Task<CommandResult> CtrAsync(params string[] arguments) =>
        Command.RunAsync(Path.Combine(_tools, "usr/bin/ctr"), ["--address", NodeFiles.Socket, "--namespace", "k8s.io", .. arguments], environment: Environment);

    /// <summary>Stops everything and removes all traces.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes.AsEnumerable().Reverse())
            await process.DisposeAsync().ConfigureAwait(false);
        _processes.Clear();
        try
        {
            await CleanUpAsync().ConfigureAwait(false);
        }
        finally
        {
            await _lock.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Starts containerd; returns when it answers.</summary>
    internal async Task StartContainerdAsync(ServerFiles files, string pauseImage, TimeSpan timeout)
    {
        NodeFiles.Write(_tools, files.PkiFile("ca.crt"), files.PkiFile("node.crt"), files.PkiFile("node.key"), pauseImage);
        Start(Path.Combine(_tools, "usr/bin/containerd"), ["--config", NodeFiles.ContainerdConfig], files);
        for (var until = DateTime.UtcNow + timeout; (await CtrAsync("version").ConfigureAwait(false)).ExitCode != 0;)
        {
            ThrowIfExited();
            if (DateTime.UtcNow > until)
                throw new TimeoutException("containerd did not answer");
            await Task.Delay(100).ConfigureAwait(false);
        }
    }

    /// <summary>Starts what makes pods run.</summary>
    internal void StartKubelet(KubernetesAssets assets, ServerFiles files)
    {
        Start(
            assets.Program(Programs.Scheduler),
            [
                .. assets.ServerVersion < new Version(1, 24) ? ["--port=0"] : Array.Empty<string>(),
                $"--kubeconfig={files.AdminKubeconfig}",
                $"--authentication-kubeconfig={files.AdminKubeconfig}",
                $"--authorization-kubeconfig={files.AdminKubeconfig}",
                "--bind-address=127.0.0.1",
                "--secure-port=0",
                "--leader-elect=false",
            ],
            files);
        Start(
            assets.Program(Programs.Kubelet),
            [
                .. assets.ServerVersion < new Version(1, 27) ? ["--container-runtime=remote"] : Array.Empty<string>(),
                $"--config={NodeFiles.KubeletConfig}",
                $"--kubeconfig={files.NodeKubeconfig}",
                $"--root-dir={NodeFiles.Root}/kubelet",
                $"--cert-dir={NodeFiles.Root}/kubelet-pki",
                $"--container-runtime-endpoint=unix://{NodeFiles.Socket}",
                $"--hostname-override={NodeNetwork.Name}",
                $"--node-ip={NodeNetwork.NodeAddress}",
            ],
            files);
        Start(
            assets.Program(Programs.Proxy),
            [
                $"--kubeconfig={files.AdminKubeconfig}",
                $"--hostname-override={NodeNetwork.Name}",
                $"--cluster-cidr={NodeNetwork.PodSubnet}",
                "--proxy-mode=iptables",
                // The limits of connection tracking are the machine's, not the test's.
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
                "--bind-address=127.0.0.1",
            ],
            files);
    }

    internal void ThrowIfExited()
    {
        foreach (var process in _processes)
            process.ThrowIfExited();
    }

    /// <summary>Two tests at once would pull the ground from under each other.</summary>
    private static async Task<FileStream> LockAsync()
    {
        while (true)
        {
            try
            {
                return new FileStream("/run/moebius-test-node.lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                await Task.Delay(500).ConfigureAwait(false);
            }
        }
    }

    private async Task PrepareAsync()
    {
        Directory.CreateDirectory(NodeFiles.Root);
        await File.WriteAllTextAsync(NodeFiles.Sysctls, (await RunAsync("sysctl", "vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops", "net.ipv4.ip_forward").ConfigureAwait(false)).StandardOutput).ConfigureAwait(false);
        await RunAsync("ip", "link", "add", NodeNetwork.NodeBridge, "type", "bridge").ConfigureAwait(false);
        await RunAsync("ip", "address", "add", NodeNetwork.NodeAddress + "/32", "dev", NodeNetwork.NodeBridge).ConfigureAwait(false);
        await RunAsync("ip", "link", "set", NodeNetwork.NodeBridge, "up").ConfigureAwait(false);
    }

    private async Task<CommandResult> RunAsync(string program, params string[] arguments) =>
        (await Command.RunAsync(program, arguments, environment: new Dictionary<string, string> { ["PATH"] = Environment["PATH"] }).ConfigureAwait(false)).EnsureSuccess();

    private async Task CleanUpAsync() =>
        (await Command.RunAsync(KubernetesAssets.Script("node_cleanup.sh"), [NodeFiles.Root, _tools]).ConfigureAwait(false)).EnsureSuccess();

    private void Start(string program, IEnumerable<string> arguments, ServerFiles files) => _processes.Add(ServerProcess.Start(program, arguments, files.Logs, Environment));
}
