namespace Moebius.Operator.Planning;

/// <summary>Names of children: functions of the owner's name, so that nothing has to be looked up.</summary>
public static class Names
{
    /// <summary>Deployment, Service, ServiceAccount, PodDisruptionBudget and NetworkPolicy of a MoEDeployment.</summary>
    public static string Inference(string moeDeployment) => moeDeployment;

    /// <summary>ConfigMap of a MoEDeployment.</summary>
    public static string InferenceConfig(string moeDeployment) => $"{moeDeployment}-config";

    /// <summary>Volume claim of a MoEDeployment whose model is downloaded, and the NetworkPolicy of the download.</summary>
    public static string ModelStore(string moeDeployment) => $"{moeDeployment}-model";

    /// <summary>Job that downloads a model. A Job's name becomes a label, so it is cut to 63 characters before the hash.</summary>
    /// <param name="moeDeployment">The MoEDeployment.</param>
    /// <param name="hash">16 digits of all that the Job does.</param>
    public static string ModelJob(string moeDeployment, string hash) => $"{(moeDeployment.Length > 40 ? moeDeployment[..40].TrimEnd('-') : moeDeployment)}-model-{hash}";

    /// <summary>ConfigMap of a KVPrivacyPolicy.</summary>
    public static string Policy(string policy) => $"{policy}-policy";

    /// <summary>DaemonSet and ServiceAccount of a MemorySchedulingProfile.</summary>
    public static string NodeAgent(string profile) => $"moebius-agent-{profile}";

    /// <summary>ConfigMap of a MemorySchedulingProfile.</summary>
    public static string NodeAgentConfig(string profile) => $"moebius-agent-{profile}-config";

    /// <summary>Deployment, Service, ServiceAccount and NetworkPolicy of a PromptOptimizer.</summary>
    public static string PromptOptimizer(string optimizer) => $"{optimizer}-optimizer";

    /// <summary>ConfigMap of a PromptOptimizer.</summary>
    public static string PromptOptimizerConfig(string optimizer) => $"{optimizer}-optimizer-config";

    /// <summary>Volume claim of a PromptOptimizer.</summary>
    public static string PromptOptimizerData(string optimizer) => $"{optimizer}-optimizer-data";

    /// <summary>URL of a Service inside the cluster, without a slash at the end.</summary>
    public static string ServiceUrl(string service, string @namespace, int port) => $"http://{service}.{@namespace}.svc:{port}";
}
