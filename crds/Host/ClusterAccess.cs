using k8s;
using k8s.Exceptions;

namespace Moebius.Crds.Host;

/// <summary>How a program reaches its cluster.</summary>
public static class ClusterAccess
{
    /// <summary>By the file that is named, else as the pod that the program runs in, else as kubectl does: KUBECONFIG, then ~/.kube/config.</summary>
    /// <param name="kubeconfig">A kubeconfig; null where none was named.</param>
    /// <exception cref="UserInputException">There is none of them, or it cannot be used.</exception>
    public static KubernetesClientConfiguration Find(string? kubeconfig)
    {
        const string Variable = "KUBECONFIG";
        var named = Environment.GetEnvironmentVariable(Variable);
        var source = kubeconfig ?? (string.IsNullOrEmpty(named) ? KubernetesClientConfiguration.KubeConfigDefaultLocation : $"{Variable} ({named})");
        try
        {
            if (kubeconfig is not null)
                return KubernetesClientConfiguration.BuildConfigFromConfigFile(kubeconfig);
            if (KubernetesClientConfiguration.IsInCluster())
                return KubernetesClientConfiguration.InClusterConfig();
            // Without either the client would go to http://localhost:8080, where anything may listen.
            if (string.IsNullOrEmpty(named) && !File.Exists(KubernetesClientConfiguration.KubeConfigDefaultLocation))
                throw new UserInputException($"--kubeconfig: which cluster? This is not a pod, {Variable} is not set and {KubernetesClientConfiguration.KubeConfigDefaultLocation} is not there: name a file");
            return KubernetesClientConfiguration.BuildDefaultConfig();
        }
        catch (Exception error) when (error is KubeConfigException or IOException or UnauthorizedAccessException or YamlDotNet.Core.YamlException)
        {
            throw new UserInputException($"--kubeconfig: {source} cannot be used: {error.Message}", error);
        }
    }
}
