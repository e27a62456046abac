namespace Moebius.KubernetesEnvironment;

/// <summary>The file names of the programs, which name their logs too.</summary>
internal static class Programs
{
    public const string Etcd = "etcd";
    public const string ApiServer = "kube-apiserver";
    public const string Extensions = "apiextensions-apiserver";
    public const string ControllerManager = "kube-controller-manager";
    public const string Scheduler = "kube-scheduler";
    public const string Kubelet = "kubelet";
    public const string Proxy = "kube-proxy";
    public const string Kubectl = "kubectl";
    public const string Helm = "helm";
}
