using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>When to pull an image.</summary>
public enum ImagePullPolicy
{
    /// <summary>When the node does not have it.</summary>
    IfNotPresent,

    /// <summary>At every start.</summary>
    Always,

    /// <summary>Not at all: the node must have it.</summary>
    Never,
}

/// <summary>Where pods may run.</summary>
public sealed class PodPlacement
{
    /// <summary>Labels a node must have. The profile's node selector is added.</summary>
    [Size(0, 64)]
    [ItemSize(0, 63)]
    public Dictionary<string, string>? NodeSelector { get; set; }

    /// <summary>Taints the pods tolerate.</summary>
    [Size(0, 64)]
    public List<V1Toleration>? Tolerations { get; set; }

    /// <summary>Spread over zones or nodes. A missing label selector is filled in.</summary>
    [Size(0, 16)]
    public List<V1TopologySpreadConstraint>? TopologySpreadConstraints { get; set; }

    /// <summary>Priority class.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public string? PriorityClassName { get; set; }
}

/// <summary>Where the pods of a service may run.</summary>
public sealed class ServicePlacement
{
    /// <summary>Labels its node must have.</summary>
    [Size(0, 64)]
    [ItemSize(0, 63)]
    public Dictionary<string, string>? NodeSelector { get; set; }

    /// <summary>Taints the pod tolerates.</summary>
    [Size(0, 64)]
    public List<V1Toleration>? Tolerations { get; set; }

    /// <summary>Priority class.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public string? PriorityClassName { get; set; }
}

/// <summary>The PodDisruptionBudget.</summary>
public sealed class DisruptionSpec
{
    /// <summary>Pods that a voluntary disruption may take at once. Those that do not answer do not hold it up, unless this is 0.</summary>
    [Range(0, 1000)]
    public int MaxUnavailable { get; set; } = 1;
}

/// <summary>
/// How pods are replaced when their template changes. Without room for a second pod beside the old one, set maxSurge to 0
/// and maxUnavailable to 1: the old one is stopped first, and answers nothing until the new one has loaded its model.
/// </summary>
[CelRule("(type(self.maxSurge) == int ? self.maxSurge != 0 : self.maxSurge != '0%') || (type(self.maxUnavailable) == int ? self.maxUnavailable != 0 : self.maxUnavailable != '0%')",
    "maxSurge and maxUnavailable must not both be 0: no pod could be replaced")]
public sealed class RolloutSpec
{
    /// <summary>Pods that may run beyond those asked for, as a number or as a share of them, rounded up.</summary>
    [Range(0, 1000)]
    [Pattern(Patterns.Percentage)]
    public IntOrString MaxSurge { get; set; } = 1;

    /// <summary>Pods that may be missing from those asked for, as a number or as a share of them, rounded down.</summary>
    [Range(0, 1000)]
    [Pattern(Patterns.Percentage)]
    public IntOrString MaxUnavailable { get; set; } = 0;
}

/// <summary>The NetworkPolicy of the pods: everything is denied but what is listed here and what Moebius needs.</summary>
[CelRule("self.enabled || !(has(self.allowFrom) || has(self.allowMetricsFrom))",
    "allowFrom and allowMetricsFrom have no effect while enabled is false: remove them, or enable the policy")]
public sealed class NetworkPolicySpec
{
    /// <summary>Make a NetworkPolicy.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>Who may call the API. Absent: every pod of the namespace.</summary>
    [Size(0, 32)]
    public List<V1NetworkPolicyPeer>? AllowFrom { get; set; }

    /// <summary>Who may read metrics, beside the operator. Absent: nobody.</summary>
    [Size(0, 32)]
    public List<V1NetworkPolicyPeer>? AllowMetricsFrom { get; set; }
}
