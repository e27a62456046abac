using System.Globalization;
using System.Security.Cryptography;
using Moebius.KubernetesEnvironment.Node;

namespace Moebius.KubernetesEnvironment;

/// <summary>The folder of one test server: certificates, kubeconfigs, logs and etcd's data. It is gone after the test.</summary>
internal sealed class ServerFiles : IDisposable
{
    private const string Prefix = "moebius-kubernetes-";

    /// <summary>Which requests are audited: all, once, when their answer is complete, without bodies.</summary>
    private const string AuditPolicyText =
        """
        {"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived","ResponseStarted"],"rules":[{"level":"Metadata"}]}
        """;

    public ServerFiles()
    {
        RemoveStale();
        Root = Directory.CreateTempSubdirectory(FormattableString.Invariant($"{Prefix}{Environment.ProcessId}-")).FullName;
        Directory.CreateDirectory(Logs);
        Directory.CreateDirectory(Pki);
        File.WriteAllText(AuditPolicy, AuditPolicyText);
    }

    public string Root { get; }

    public string Logs => Path.Combine(Root, "logs");

    public string AuditPolicy => Path.Combine(Root, "audit-policy.json");

    public string AuditLog => Path.Combine(Logs, "audit.log");

    public string EtcdData => Path.Combine(Root, "etcd");

    public string AdminKubeconfig => Path.Combine(Root, "admin.kubeconfig");

    /// <summary>Who kubelet is.</summary>
    public string NodeKubeconfig => Path.Combine(Root, "node.kubeconfig");

    /// <summary>Where kubectl keeps what it learnt about the server; shared by nobody, because ports are reused.</summary>
    public string KubectlCache => Path.Combine(Root, "kubectl-cache");

    private string Pki => Path.Combine(Root, "pki");

    public string PkiFile(string name) => Path.Combine(Pki, name);

    /// <summary>Writes the certificates that the servers read from files.</summary>
    public void WritePki(CertificateAuthority authority)
    {
        File.WriteAllText(PkiFile("ca.crt"), authority.CertificatePem);
        WritePair("apiserver", authority.IssueServer("kube-apiserver", "kubernetes.default.svc", NodeNetwork.ApiServerService, NodeNetwork.NodeAddress));
        WritePair("node", authority.IssueServer(NodeNetwork.Name, NodeNetwork.Name, NodeNetwork.NodeAddress));
        WritePair("kubelet-client", authority.IssueClient("admin", "system:masters"));
        WritePair("extensions", authority.IssueServer("apiextensions-apiserver", CustomResources.ServerName));
        WritePair("front-proxy", authority.IssueClient(ServerArguments.FrontProxyUser));
        using var serviceAccounts = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        File.WriteAllText(PkiFile("service-accounts.key"), serviceAccounts.ExportPkcs8PrivateKeyPem());
        File.WriteAllText(PkiFile("service-accounts.pub"), serviceAccounts.ExportSubjectPublicKeyInfoPem());
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(Root, recursive: true);
        }
        catch (IOException)
        {
            // A server that is still ending may add a file; the next test run removes the rest.
        }
    }

    private void WritePair(string name, PemPair pair)
    {
        File.WriteAllText(PkiFile(name + ".crt"), pair.Certificate);
        File.WriteAllText(PkiFile(name + ".key"), pair.Key);
    }

    /// <summary>Removes what test processes left behind that were killed: folders whose process is gone.</summary>
    private static void RemoveStale()
    {
        foreach (var folder in Directory.GetDirectories(Path.GetTempPath(), Prefix + "*"))
        {
            var owner = Path.GetFileName(folder)[Prefix.Length..].Split('-')[0];
            if (!int.TryParse(owner, CultureInfo.InvariantCulture, out _) || Directory.Exists("/proc/" + owner))
                continue;
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Another process is at the same work, or it is another user's.
            }
        }
    }
}
