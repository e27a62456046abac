using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>Scaling by load.</summary>
[CelRule("self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas")]
[CelRule("(self.autoscaler == 'Keda') == has(self.prometheusAddress)", "prometheusAddress must be set for autoscaler Keda and only then")]
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

    /// <summary>URL of the Prometheus server that KEDA asks.</summary>
    [Size(1, 2048)]
    [Pattern(Patterns.Url)]
    public string? PrometheusAddress { get; set; }
}

/// <summary>Autoscalers.</summary>
public enum Autoscaler
{
    /// <summary>
    /// The cluster's own (autoscaling/v2), on the pods' metrics vllm:num_requests_waiting and vllm:kv_cache_usage_perc,
    /// which an adapter has to serve as custom metrics.
    /// </summary>
    HorizontalPodAutoscaler,

    /// <summary>A KEDA ScaledObject.</summary>
    Keda,
}
