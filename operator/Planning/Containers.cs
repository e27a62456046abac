using Moebius.Crds.Host;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning;

/// <summary>Parts that several containers share.</summary>
internal static class Containers
{
    /// <summary>User and group of every container but the node agent's.</summary>
    private const long User = 65532;

    /// <summary>A loading program is never killed: it has two hours to answer.</summary>
    private const int StartupChecks = 3600;

    /// <summary>As the Pod Security level "restricted" asks for.</summary>
    public static V1PodSecurityContext RestrictedPod() => new()
    {
        RunAsNonRoot = true,
        RunAsUser = User,
        RunAsGroup = User,
        FsGroup = User,
        FsGroupChangePolicy = "OnRootMismatch",
        SeccompProfile = new V1SeccompProfile { Type = "RuntimeDefault" },
    };

    public static V1SecurityContext Restricted() => new()
    {
        AllowPrivilegeEscalation = false,
        ReadOnlyRootFilesystem = true,
        RunAsNonRoot = true,
        Capabilities = new V1Capabilities { Drop = ["ALL"] },
    };

    /// <summary>A container of one of Moebius' programs, which is allowed what the level "restricted" allows.</summary>
    public static V1Container Moebius(string name, string image, ImagePullPolicy pullPolicy, IList<string> args, V1ResourceRequirements? resources, IList<V1VolumeMount> mounts) => new()
    {
        Name = name,
        Image = image,
        ImagePullPolicy = pullPolicy.ToString(),
        Command = [PodPaths.Program],
        Args = args,
        Env = [NoDiagnostics()],
        Resources = resources,
        TerminationMessagePolicy = "FallbackToLogsOnError",
        SecurityContext = Restricted(),
        VolumeMounts = mounts,
    };

    /// <summary>Gives a container a port, at which its probes ask, and the operator's way to write a log.</summary>
    /// <returns>The container.</returns>
    public static V1Container Serving(this V1Container container, string name, int port, OperatorSettings settings)
    {
        if (settings.LogFormat == LogFormat.Json)
            container.Args.Add($"{ConsoleLog.OptionName}={ConsoleLog.Json}");
        container.Ports = [new V1ContainerPort { Name = name, ContainerPort = port, Protocol = "TCP" }];
        container.StartupProbe = Http("/healthz", name, periodSeconds: 2, failureThreshold: StartupChecks);
        container.LivenessProbe = Http("/healthz", name, periodSeconds: 10, failureThreshold: 6);
        container.ReadinessProbe = Http("/readyz", name, periodSeconds: 5, failureThreshold: 2);
        return container;
    }

    /// <summary>The .NET runtime's diagnostic sockets need a writable /tmp, which there is not.</summary>
    private static V1EnvVar NoDiagnostics() => new() { Name = "DOTNET_EnableDiagnostics", Value = "0" };

    public static V1EnvVar FromSecret(string name, SecretKeyReference secret) => new()
    {
        Name = name,
        ValueFrom = new V1EnvVarSource { SecretKeyRef = new V1SecretKeySelector { Name = secret.Name, Key = secret.Key } },
    };

    public static List<V1LocalObjectReference>? PullSecrets(List<LocalReference>? secrets) =>
        secrets is { Count: > 0 } ? [.. secrets.Select(secret => new V1LocalObjectReference { Name = secret.Name })] : null;

    public static V1VolumeMount Mount(string volume, string path, bool readOnly) =>
        new() { Name = volume, MountPath = path, ReadOnlyProperty = readOnly ? true : null };

    public static V1Volume ConfigMapVolume(string name, string configMap, params string[] keys) => new()
    {
        Name = name,
        ConfigMap = new V1ConfigMapVolumeSource { Name = configMap, Items = keys.Length == 0 ? null : [.. keys.Select(key => new V1KeyToPath { Key = key, Path = key })] },
    };

    private static V1Probe Http(string path, string port, int periodSeconds, int failureThreshold) => new()
    {
        HttpGet = new V1HTTPGetAction { Path = path, Port = port, Scheme = "HTTP" },
        PeriodSeconds = periodSeconds,
        TimeoutSeconds = 5,
        FailureThreshold = failureThreshold,
    };
}
