namespace Moebius.Operator.Planning;

/// <summary>Where things are in the planned containers. Only arguments, environment and mounts name them.</summary>
internal static class PodPaths
{
    public const string Program = "moebius";
    public const string Config = "/etc/moebius/config";
    public const string Policy = "/etc/moebius/policy";
    public const string PolicyFile = "policy.yaml";
    public const string Model = "/models/model";
    public const string Clip = "/models/clip";
    public const string Run = "/run/moebius";
    public const string Arena = "/run/moebius/arena";
    public const string Data = "/var/lib/moebius";
    public const string KVDisk = "/var/lib/moebius/kv";
    public const string KVKey = "/etc/moebius/kv-key";
    public const string KVKeyFile = "key";
    public const string Authorities = "/etc/moebius/authorities";
    public const string Classifier = "/var/lib/moebius/classifier";

    /// <summary>Made by the kubelet; what is written there becomes the container's termination message.</summary>
    public const string TerminationLog = "/dev/termination-log";
    public const int KVCacheMetricsPort = 9401;

    /// <summary>The engine's metrics have a port of their own: who may call the API is not to see them.</summary>
    public const int InferenceMetricsPort = 9400;
}
