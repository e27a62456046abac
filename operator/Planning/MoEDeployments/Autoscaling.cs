using System.Globalization;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.External;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Scaling by waiting requests and by use of the KV memory. The autoscaler writes the number of pods into the Deployment;
/// the operator then plans what it finds there, within the bounds, so that the two never fight.
/// </summary>
internal static class Autoscaling
{
    private const string Waiting = "vllm:num_requests_waiting";
    private const string KVUsage = "vllm:kv_cache_usage_perc";

    /// <summary>Pods to plan.</summary>
    /// <param name="spec">The spec.</param>
    /// <param name="live">Pods that the Deployment asks for now; null when there is none.</param>
    public static int Replicas(MoEDeploymentSpec spec, int? live) => spec.Autoscaling is not { } scaling
        ? spec.Replicas ?? 1
        : Math.Clamp(live ?? spec.Replicas ?? scaling.MinReplicas, scaling.MinReplicas, scaling.MaxReplicas);

    /// <summary>The autoscaler's object; null where there is none to make.</summary>
    public static IKubernetesObject<V1ObjectMeta>? Plan(MoEDeployment resource, ChildBuilder child, ServerCapabilities server) => resource.Spec.Autoscaling switch
    {
        { Autoscaler: Autoscaler.Keda } scaling when server.ScaledObjects => Scaled(resource, scaling, child),
        { Autoscaler: Autoscaler.HorizontalPodAutoscaler } scaling when server.HorizontalPodAutoscalers => Horizontal(resource, scaling, child),
        _ => null,
    };

    /// <summary>What the server lacks for the autoscaler that is asked for.</summary>
    public static Problem? Missing(MoEDeploymentSpec spec, ServerCapabilities server) => spec.Autoscaling switch
    {
        { Autoscaler: Autoscaler.Keda } when !server.ScaledObjects => new Problem(
            Reasons.ServerCapabilityMissing, "spec.autoscaling.autoscaler: the server has no ScaledObject of keda.sh/v1alpha1: install KEDA, or write HorizontalPodAutoscaler; until then the number of pods stays as it is", Blocks: false),
        { Autoscaler: Autoscaler.HorizontalPodAutoscaler } when !server.HorizontalPodAutoscalers => new Problem(
            Reasons.ServerCapabilityMissing, $"spec.autoscaling: a Kubernetes {server.Version} server has no HorizontalPodAutoscaler of autoscaling/v2 (1.23 has): the number of pods stays as it is", Blocks: false),
        _ => null,
    };

    private static V2HorizontalPodAutoscaler Horizontal(MoEDeployment resource, AutoscalingSpec scaling, ChildBuilder child) => new()
    {
        ApiVersion = "autoscaling/v2",
        Kind = "HorizontalPodAutoscaler",
        Metadata = child.Metadata(Names.Inference(resource.Metadata.Name)),
        Spec = new V2HorizontalPodAutoscalerSpec
        {
            ScaleTargetRef = new V2CrossVersionObjectReference { ApiVersion = "apps/v1", Kind = "Deployment", Name = Names.Inference(resource.Metadata.Name) },
            MinReplicas = scaling.MinReplicas,
            MaxReplicas = scaling.MaxReplicas,
            Metrics =
            [
                Metric(Waiting, scaling.TargetQueueDepth.ToString(CultureInfo.InvariantCulture)),
                // The metric is a share of 1.
                Metric(KVUsage, $"{(scaling.TargetKVUsagePercent * 10).ToString(CultureInfo.InvariantCulture)}m"),
            ],
            // A pod that goes takes its cache with it, and one that comes loads a model: go slowly.
            Behavior = new V2HorizontalPodAutoscalerBehavior
            {
                ScaleDown = new V2HPAScalingRules
                {
                    StabilizationWindowSeconds = 300,
                    SelectPolicy = "Max",
                    Policies = [new V2HPAScalingPolicy { Type = "Pods", Value = 1, PeriodSeconds = 60 }],
                },
            },
        },
    };

    private static V2MetricSpec Metric(string name, string average) => new()
    {
        Type = "Pods",
        Pods = new V2PodsMetricSource
        {
            Metric = new V2MetricIdentifier { Name = name },
            Target = new V2MetricTarget { Type = "AverageValue", AverageValue = new ResourceQuantity(average) },
        },
    };

    private static ScaledObject Scaled(MoEDeployment resource, AutoscalingSpec scaling, ChildBuilder child)
    {
        var name = Names.Inference(resource.Metadata.Name);
        var series = $"{{namespace=\"{resource.Metadata.NamespaceProperty}\",pod=~\"{name}-[a-z0-9]+-[a-z0-9]+\"}}";
        return new ScaledObject
        {
            ApiVersion = "keda.sh/v1alpha1",
            Kind = nameof(ScaledObject),
            Metadata = child.Metadata(name),
            Spec = new JsonObject
            {
                ["scaleTargetRef"] = new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "Deployment", ["name"] = name },
                ["minReplicaCount"] = scaling.MinReplicas,
                ["maxReplicaCount"] = scaling.MaxReplicas,
                ["cooldownPeriod"] = 300,
                ["triggers"] = new JsonArray(
                    Trigger(scaling, $"sum({Waiting}{series})", scaling.TargetQueueDepth),
                    Trigger(scaling, $"100 * sum({KVUsage}{series})", scaling.TargetKVUsagePercent)),
            },
        };
    }

    // KEDA divides the sum by the pods there are.
    private static JsonObject Trigger(AutoscalingSpec scaling, string query, int threshold) => new()
    {
        ["type"] = "prometheus",
        ["metricType"] = "AverageValue",
        ["metadata"] = new JsonObject
        {
            ["serverAddress"] = scaling.PrometheusAddress,
            ["query"] = query,
            ["threshold"] = threshold.ToString(CultureInfo.InvariantCulture),
        },
    };
}
