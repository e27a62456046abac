using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning;

/// <summary>Parts that several containers share.</summary>
internal static class Containers
{
    /// <summary>User and group of every container but the node agent's.</summary>
    private const long User = 65532;

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

    /// <summary>The .NET runtime's diagnostic sockets need a writable /tmp, which there is not.</summary>
    public static V1EnvVar NoDiagnostics() => new() { Name = "DOTNET_EnableDiagnostics", Value = "0" };

    public static V1EnvVar FromSecret(string name, SecretKeyReference secret) => new()
    {
        Name = name,
        ValueFrom = new V1EnvVarSource { SecretKeyRef = new V1SecretKeySelector { Name = secret.Name, Key = secret.Key } },
    };

    public static List<V1LocalObjectReference>? PullSecrets(List<LocalReference>? secrets) =>
        secrets is { Count: > 0 } ? [.. secrets.Select(secret => new V1LocalObjectReference { Name = secret.Name })] : null;

    /// <summary>A loading program is never killed: it has two hours to answer.</summary>
    public static V1Probe Startup(string port) => Http("/healthz", port, periodSeconds: 2, failureThreshold: 3600);

    public static V1Probe Liveness(string port) => Http("/healthz", port, periodSeconds: 10, failureThreshold: 6);

    public static V1Probe Readiness(string port) => Http("/readyz", port, periodSeconds: 5, failureThreshold: 2);

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
