using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>Scaling by load.</summary>
[CelRule("self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas")]
public sealed class AutoscalingSpec
{
    /// <summary>Fewest pods.</summary>
    [Range(1, 1000)]
    public int MinReplicas { get; set; } = 1;

    /// <summary>Most pods.</summary>
    [Range(1, 1000)]
    public required int MaxReplicas { get; set; }

    /// <summary>Waiting requests per pod to aim for.</summary>
    [Range(1, 100000)]
    public int TargetQueueDepth { get; set; } = 4;

    /// <summary>Share of KV memory in use to aim for.</summary>
    [Range(1, 100)]
    public int TargetKVUsagePercent { get; set; } = 80;

    /// <summary>What does the scaling.</summary>
    public Autoscaler Autoscaler { get; set; } = Autoscaler.HorizontalPodAutoscaler;
}

/// <summary>Autoscalers.</summary>
public enum Autoscaler
{
    /// <summary>The cluster's own, on custom metrics.</summary>
    HorizontalPodAutoscaler,

    /// <summary>A KEDA ScaledObject.</summary>
    Keda,
}
