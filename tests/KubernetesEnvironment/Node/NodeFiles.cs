using System.Text.Json;

namespace Moebius.KubernetesEnvironment.Node;

/// <summary>
/// The folder of the node: not below the folder of the control plane, which is removed without a look at what is mounted in
/// it. There is one node on a machine, so its path is fixed, and the next test finds what a killed one left.
/// </summary>
internal sealed class NodeFiles
{
    public const string Root = "/var/lib/moebius-test-node";

    public static string Socket => Path.Combine(Root, "containerd.sock");

    public static string ContainerdConfig => Path.Combine(Root, "containerd.toml");

    public static string KubeletConfig => Path.Combine(Root, "kubelet.json");

    public static string Sysctls => Path.Combine(Root, "sysctl");

    public static void Write(string tools, string authority, string certificate, string key, string pauseImage)
    {
        Directory.CreateDirectory(Path.Combine(Root, "cni"));
        File.WriteAllText(Path.Combine(Root, "cni/10-pods.conflist"), Network());
        File.WriteAllText(ContainerdConfig, Containerd(tools, pauseImage));
        File.WriteAllText(KubeletConfig, Kubelet(authority, certificate, key));
    }

    private static string Network() => JsonSerializer.Serialize(new
    {
        cniVersion = "0.4.0",
        name = "pods",
        plugins = new object[]
        {
            new
            {
                type = "bridge",
                bridge = NodeNetwork.PodBridge,
                isGateway = true,
                ipMasq = false,
                hairpinMode = true,
                ipam = new
                {
                    type = "host-local",
                    dataDir = Path.Combine(Root, "cni-addresses"),
                    ranges = new[] { new[] { new { subnet = NodeNetwork.PodSubnet } } },
                    routes = new[] { new { dst = "0.0.0.0/0" } },
                },
            },
        },
    });

    /// <summary>Where root may not lower a process's chance to be killed for memory, containers keep the chance they have.</summary>
    private static string Containerd(string tools, string pauseImage) => $"""
        version = 2
        root = "{Root}/containerd"
        state = "{Root}/containerd-state"
        [grpc]
          address = "{Socket}"
        [plugins."io.containerd.grpc.v1.cri"]
          sandbox_image = "{pauseImage}"
          restrict_oom_score_adj = true
          [plugins."io.containerd.grpc.v1.cri".cni]
            bin_dir = "{tools}/usr/lib/cni"
            conf_dir = "{Root}/cni"
          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
            runtime_type = "io.containerd.runc.v2"
        """;

    private static string Kubelet(string authority, string certificate, string key) => JsonSerializer.Serialize(new
    {
        apiVersion = "kubelet.config.k8s.io/v1beta1",
        kind = "KubeletConfiguration",
        address = NodeNetwork.NodeAddress,
        authentication = new { anonymous = new { enabled = false }, webhook = new { enabled = true }, x509 = new { clientCAFile = authority } },
        authorization = new { mode = "Webhook" },
        tlsCertFile = certificate,
        tlsPrivateKeyFile = key,
        cgroupDriver = "cgroupfs",
        failSwapOn = false,
        makeIPTablesUtilChains = false,
        // ConfigMaps reach pods within seconds, as tests want it.
        syncFrequency = "5s",
        configMapAndSecretChangeDetectionStrategy = "Watch",
        evictionHard = new Dictionary<string, string> { ["memory.available"] = "100Mi", ["nodefs.available"] = "1%", ["imagefs.available"] = "1%", ["nodefs.inodesFree"] = "1%" },
    });
}
