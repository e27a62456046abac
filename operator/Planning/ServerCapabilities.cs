namespace Moebius.Operator.Planning;

/// <summary>What an API server can do, discovered at start and again from time to time.</summary>
public sealed class ServerCapabilities : IEquatable<ServerCapabilities>
{
    private readonly SortedSet<string> apiVersions;

    /// <summary>Creates the description of a server.</summary>
    /// <param name="version">Major and minor version.</param>
    /// <param name="apiVersions">Group and version of every API it serves, such as <c>policy/v1</c>.</param>
    public ServerCapabilities(Version version, IEnumerable<string> apiVersions)
    {
        Version = version;
        this.apiVersions = new SortedSet<string>(apiVersions, StringComparer.Ordinal);
    }

    /// <summary>A server of today with every API that Moebius can use; what the local runner plans for.</summary>
    public static ServerCapabilities Latest { get; } = new(
        new Version(1, 36),
        ["v1", "apps/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1", "coordination.k8s.io/v1"]);

    /// <summary>Major and minor version of the server.</summary>
    public Version Version { get; }

    /// <summary>Whether init containers may keep running beside the others (from 1.29).</summary>
    public bool NativeSidecars => Version >= new Version(1, 29);

    /// <summary>Whether a pod may sleep before it is stopped without a program in its image (from 1.30).</summary>
    public bool SleepAction => Version >= new Version(1, 30);

    /// <summary>Whether OCI images can be mounted as volumes by default (from 1.35).</summary>
    public bool ImageVolumes => Version >= new Version(1, 35);

    /// <summary>Whether the server has PodDisruptionBudgets of <c>policy/v1</c> (from 1.21).</summary>
    public bool PodDisruptionBudgets => Serves("policy/v1");

    /// <summary>Whether the server has NetworkPolicies of <c>networking.k8s.io/v1</c>.</summary>
    public bool NetworkPolicies => Serves("networking.k8s.io/v1");

    /// <summary>The API of the Prometheus operator's PodMonitor, when it is installed.</summary>
    public string? PodMonitorApi => First("monitoring.coreos.com/v1");

    /// <summary>The API of the Gateway API's InferencePool, when it is installed: the stable one first.</summary>
    public string? InferencePoolApi => First("inference.networking.k8s.io/v1", "inference.networking.x-k8s.io/v1alpha2");

    /// <summary>Whether the server serves a group and version.</summary>
    /// <param name="apiVersion">For example <c>policy/v1</c>.</param>
    public bool Serves(string apiVersion) => apiVersions.Contains(apiVersion);

    private string? First(params string[] choices) => choices.FirstOrDefault(Serves);

    /// <inheritdoc />
    public bool Equals(ServerCapabilities? other) =>
        other is not null && Version == other.Version && apiVersions.SetEquals(other.apiVersions);

    /// <inheritdoc />
    public override bool Equals(object? obj) => Equals(obj as ServerCapabilities);

    /// <inheritdoc />
    public override int GetHashCode() => HashCode.Combine(Version, apiVersions.Count);
}
