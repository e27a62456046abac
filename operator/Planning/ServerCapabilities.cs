namespace Moebius.Operator.Planning;

/// <summary>What an API server can do, discovered at start and again from time to time.</summary>
public sealed class ServerCapabilities : IEquatable<ServerCapabilities>
{
    /// <summary>Kinds of other operators that Moebius can use: group, version and plural name.</summary>
    internal const string PodMonitorResource = "monitoring.coreos.com/v1/podmonitors";
    internal const string InferencePoolResource = "inference.networking.k8s.io/v1/inferencepools";
    internal const string InferencePoolAlphaResource = "inference.networking.x-k8s.io/v1alpha2/inferencepools";
    internal const string ScaledObjectResource = "keda.sh/v1alpha1/scaledobjects";

    private readonly SortedSet<string> _apis;

    /// <summary>Creates the description of a server.</summary>
    /// <param name="version">Major and minor version.</param>
    /// <param name="apis">
    /// Group and version of every API it serves, such as <c>policy/v1</c>; of other operators' kinds also the plural name,
    /// such as <c>keda.sh/v1alpha1/scaledobjects</c>.
    /// </param>
    public ServerCapabilities(Version version, IEnumerable<string> apis)
    {
        Version = version;
        _apis = new SortedSet<string>(apis, StringComparer.Ordinal);
    }

    /// <summary>A server of today with every built-in API that Moebius can use; what the local runner plans for.</summary>
    public static ServerCapabilities Latest { get; } = new(
        new Version(1, 36),
        ["v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1", "coordination.k8s.io/v1"]);

    /// <summary>Kinds whose group and version alone do not tell whether they are there.</summary>
    public static IReadOnlyList<string> OptionalResources { get; } = [PodMonitorResource, InferencePoolResource, InferencePoolAlphaResource, ScaledObjectResource];

    /// <summary>Major and minor version of the server.</summary>
    public Version Version { get; }

    /// <summary>Whether a PodDisruptionBudget says what it thinks of pods that do not answer (from 1.27).</summary>
    public bool UnhealthyPodEviction => Version >= new Version(1, 27);

    /// <summary>Whether init containers may keep running beside the others (from 1.29).</summary>
    public bool NativeSidecars => Version >= new Version(1, 29);

    /// <summary>Whether a pod can bring a volume of a storage class along (from 1.21).</summary>
    public bool EphemeralVolumes => Version >= new Version(1, 21);

    /// <summary>Whether a pod may sleep before it is stopped without a program in its image (from 1.30).</summary>
    public bool SleepAction => Version >= new Version(1, 30);

    /// <summary>Whether a container names its AppArmor profile in a field, where it had an annotation before (from 1.30).</summary>
    public bool AppArmorField => Version >= new Version(1, 30);

    /// <summary>Whether a Job can fail at once by a container's exit code (from 1.31).</summary>
    public bool PodFailurePolicy => Version >= new Version(1, 31);

    /// <summary>Whether OCI images can be mounted as volumes by default (from 1.35).</summary>
    public bool ImageVolumes => Version >= new Version(1, 35);

    /// <summary>Whether the server has PodDisruptionBudgets of <c>policy/v1</c> (from 1.21).</summary>
    public bool PodDisruptionBudgets => Serves("policy/v1");

    /// <summary>Whether the server has HorizontalPodAutoscalers of <c>autoscaling/v2</c> (from 1.23).</summary>
    public bool HorizontalPodAutoscalers => Serves("autoscaling/v2");

    /// <summary>Whether the server has NetworkPolicies of <c>networking.k8s.io/v1</c>.</summary>
    public bool NetworkPolicies => Serves("networking.k8s.io/v1");

    /// <summary>Whether the server has the Prometheus operator's PodMonitor.</summary>
    public bool PodMonitors => Serves(PodMonitorResource);

    /// <summary>Whether the server has the Gateway API's stable InferencePool.</summary>
    public bool InferencePools => Serves(InferencePoolResource);

    /// <summary>Whether the server has the InferencePool of before.</summary>
    public bool InferencePoolsAlpha => Serves(InferencePoolAlphaResource);

    /// <summary>Whether the server has KEDA's ScaledObject.</summary>
    public bool ScaledObjects => Serves(ScaledObjectResource);

    /// <summary>Whether the server serves a group and version, or one of <see cref="OptionalResources"/>.</summary>
    /// <param name="api">For example <c>policy/v1</c>.</param>
    public bool Serves(string api) => _apis.Contains(api);

    /// <inheritdoc />
    public bool Equals(ServerCapabilities? other) => other is not null && Version == other.Version && _apis.SetEquals(other._apis);

    /// <inheritdoc />
    public override bool Equals(object? obj) => Equals(obj as ServerCapabilities);

    /// <inheritdoc />
    public override int GetHashCode() => HashCode.Combine(Version, _apis.Count);
}
