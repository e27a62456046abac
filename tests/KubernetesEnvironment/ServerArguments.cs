using Moebius.KubernetesEnvironment.Node;

namespace Moebius.KubernetesEnvironment;

/// <summary>The ports of one test server, all on the loopback address.</summary>
internal sealed record ServerPorts(int Etcd, int EtcdPeer, int ApiServer, int Extensions, int ControllerManager)
{
    public static ServerPorts Take() => new(LoopbackPorts.Take(), LoopbackPorts.Take(), LoopbackPorts.Take(), LoopbackPorts.Take(), LoopbackPorts.Take());
}

/// <summary>The command lines of the control plane's servers, for Kubernetes 1.20 and later.</summary>
internal static class ServerArguments
{
    /// <summary>The user as which the aggregator speaks to the server behind it.</summary>
    public const string FrontProxyUser = "front-proxy-client";

    private const string ServiceAccountIssuer = "https://kubernetes.default.svc";

    public static IEnumerable<string> Etcd(ServerFiles files, ServerPorts ports) =>
    [
        $"--data-dir={files.EtcdData}",
        $"--listen-client-urls={Http(ports.Etcd)}",
        $"--advertise-client-urls={Http(ports.Etcd)}",
        $"--listen-peer-urls={Http(ports.EtcdPeer)}",
        $"--initial-advertise-peer-urls={Http(ports.EtcdPeer)}",
        $"--initial-cluster=default={Http(ports.EtcdPeer)}",
        "--unsafe-no-fsync", // nobody needs the data after a power failure
    ];

    /// <param name="files">Where certificates and logs are.</param>
    /// <param name="ports">Where to listen.</param>
    /// <param name="extensionsApart">CRDs are served by the server behind the aggregator.</param>
    /// <param name="serviceAccounts">A controller makes service accounts, so pods must wait for theirs.</param>
    /// <param name="node">There is a node, whose pods must reach the server.</param>
    public static IEnumerable<string> ApiServer(ServerFiles files, ServerPorts ports, bool extensionsApart, bool serviceAccounts, bool node)
    {
        foreach (var argument in Serving(files, ports, ports.ApiServer, "apiserver"))
            yield return argument;
        if (node)
        {
            yield return "--bind-address=0.0.0.0"; // the last one counts
            yield return $"--advertise-address={NodeNetwork.NodeAddress}";
            yield return "--kubelet-preferred-address-types=InternalIP";
            yield return $"--kubelet-certificate-authority={files.PkiFile("ca.crt")}";
            yield return $"--kubelet-client-certificate={files.PkiFile("kubelet-client.crt")}";
            yield return $"--kubelet-client-key={files.PkiFile("kubelet-client.key")}";
        }
        else
        {
            yield return "--advertise-address=127.0.0.1";
            yield return "--endpoint-reconciler-type=none"; // a loopback address is no valid endpoint
        }

        yield return node ? "--authorization-mode=Node,RBAC" : "--authorization-mode=RBAC";
        yield return "--allow-privileged=true";
        yield return "--service-cluster-ip-range=10.96.0.0/16";
        yield return $"--service-account-issuer={ServiceAccountIssuer}";
        yield return $"--service-account-key-file={files.PkiFile("service-accounts.pub")}";
        yield return $"--service-account-signing-key-file={files.PkiFile("service-accounts.key")}";
        yield return $"--proxy-client-cert-file={files.PkiFile("front-proxy.crt")}";
        yield return $"--proxy-client-key-file={files.PkiFile("front-proxy.key")}";
        yield return $"--audit-policy-file={files.AuditPolicy}";
        yield return $"--audit-log-path={files.AuditLog}";
        yield return "--audit-log-maxsize=10000"; // MB; a rotation would move marks
        if (extensionsApart)
            yield return "--runtime-config=apiextensions.k8s.io/v1beta1=false"; // it would bypass the server behind the aggregator
        if (!serviceAccounts)
            yield return "--disable-admission-plugins=ServiceAccount";
    }

    public static IEnumerable<string> Extensions(ServerFiles files, ServerPorts ports) =>
    [
        .. Serving(files, ports, ports.Extensions, "extensions"),
        "--etcd-prefix=/extensions",
        $"--kubeconfig={files.AdminKubeconfig}",
        $"--authentication-kubeconfig={files.AdminKubeconfig}",
        $"--authorization-kubeconfig={files.AdminKubeconfig}",
        "--authentication-skip-lookup=true", // everything is in the flags, so it need not wait for the core
        "--disable-admission-plugins=ValidatingAdmissionPolicy,MutatingAdmissionPolicy", // an old core has no such resources to watch
    ];

    public static IEnumerable<string> ControllerManager(ServerFiles files, ServerPorts ports, IEnumerable<string> controllers, Version version) =>
    [
        // Before 1.24 it also opens one fixed port, on which two test clusters would collide.
        .. version < new Version(1, 24) ? new[] { "--port=0" } : [],
        $"--kubeconfig={files.AdminKubeconfig}",
        $"--authentication-kubeconfig={files.AdminKubeconfig}",
        $"--authorization-kubeconfig={files.AdminKubeconfig}",
        "--bind-address=127.0.0.1",
        $"--secure-port={ports.ControllerManager}",
        $"--tls-cert-file={files.PkiFile("apiserver.crt")}",
        $"--tls-private-key-file={files.PkiFile("apiserver.key")}",
        $"--service-account-private-key-file={files.PkiFile("service-accounts.key")}",
        $"--root-ca-file={files.PkiFile("ca.crt")}",
        "--leader-elect=false",
        $"--controllers={string.Join(',', controllers)}",
    ];

    private static IEnumerable<string> Serving(ServerFiles files, ServerPorts ports, int port, string certificate) =>
    [
        $"--etcd-servers={Http(ports.Etcd)}",
        "--bind-address=127.0.0.1",
        $"--secure-port={port}",
        $"--tls-cert-file={files.PkiFile(certificate + ".crt")}",
        $"--tls-private-key-file={files.PkiFile(certificate + ".key")}",
        $"--client-ca-file={files.PkiFile("ca.crt")}",
        $"--requestheader-client-ca-file={files.PkiFile("ca.crt")}",
        $"--requestheader-allowed-names={FrontProxyUser}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--enable-priority-and-fairness=false", // a test should meet its own limits, not the server's
        "--max-requests-inflight=0",
        "--max-mutating-requests-inflight=0",
    ];

    private static string Http(int port) => FormattableString.Invariant($"http://127.0.0.1:{port}");
}
