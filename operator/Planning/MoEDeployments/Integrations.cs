using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.External;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>Objects of other operators, where the server has their kinds.</summary>
internal static class Integrations
{
    public static IEnumerable<IKubernetesObject<V1ObjectMeta>> Plan(MoEDeployment resource, ChildBuilder child, OperatorSettings settings, ServerCapabilities server)
    {
        var spec = resource.Spec.Integrations;
        if ((spec.PodMonitor == IntegrationMode.Required || (spec.PodMonitor == IntegrationMode.Auto && !settings.SharedPodMonitor)) && server.PodMonitors)
            yield return Monitor(resource, child);
        if (spec.InferencePool == IntegrationMode.Disabled || spec.EndpointPickerRef is not { } picker)
            yield break;
        if (server.InferencePools)
            yield return Pool(resource, picker, child);
        else if (server.InferencePoolsAlpha)
            yield return PoolAlpha(resource, picker, child);
    }

    /// <summary>What is required and cannot be made.</summary>
    public static IEnumerable<Problem> Missing(IntegrationSpec spec, ServerCapabilities server)
    {
        if (spec.PodMonitor == IntegrationMode.Required && !server.PodMonitors)
            yield return Missing("podMonitor", "PodMonitor of monitoring.coreos.com/v1: install the Prometheus operator, or write Auto or Disabled");
        if (spec.InferencePool == IntegrationMode.Required && !server.InferencePools && !server.InferencePoolsAlpha)
            yield return Missing("inferencePool", "InferencePool of inference.networking.k8s.io/v1: install the Gateway API inference extension, or write Auto or Disabled");
    }

    private static Problem Missing(string field, string what) =>
        new(Reasons.ServerCapabilityMissing, $"spec.integrations.{field}: the server has no {what}", Blocks: false);

    private static PodMonitor Monitor(MoEDeployment resource, ChildBuilder child)
    {
        var endpoints = new JsonArray(new JsonObject { ["port"] = InferencePod.MetricsPort, ["path"] = "/metrics" });
        if (resource.Spec.KVCache.Enabled)
            endpoints.Add(new JsonObject { ["port"] = KVCacheSidecar.MetricsPort, ["path"] = "/metrics" });
        return new PodMonitor
        {
            ApiVersion = "monitoring.coreos.com/v1",
            Kind = nameof(PodMonitor),
            Metadata = child.Metadata(Names.Inference(resource.Metadata.Name)),
            Spec = new JsonObject
            {
                ["selector"] = new JsonObject { ["matchLabels"] = Selector(child) },
                // As the chart's monitor does: rules tell MoEDeployments apart by these.
                ["podTargetLabels"] = new JsonArray(Labels.Component, Labels.Instance),
                ["podMetricsEndpoints"] = endpoints,
            },
        };
    }

    private static InferencePool Pool(MoEDeployment resource, EndpointPickerReference picker, ChildBuilder child) => new()
    {
        ApiVersion = "inference.networking.k8s.io/v1",
        Kind = nameof(InferencePool),
        Metadata = child.Metadata(Names.Inference(resource.Metadata.Name)),
        Spec = new JsonObject
        {
            ["selector"] = new JsonObject { ["matchLabels"] = Selector(child) },
            ["targetPorts"] = new JsonArray(new JsonObject { ["number"] = resource.Spec.Serving.Port }),
            ["endpointPickerRef"] = new JsonObject { ["name"] = picker.Name, ["port"] = new JsonObject { ["number"] = picker.Port } },
        },
    };

    private static InferencePoolAlpha PoolAlpha(MoEDeployment resource, EndpointPickerReference picker, ChildBuilder child) => new()
    {
        ApiVersion = "inference.networking.x-k8s.io/v1alpha2",
        Kind = nameof(InferencePool),
        Metadata = child.Metadata(Names.Inference(resource.Metadata.Name)),
        Spec = new JsonObject
        {
            ["selector"] = Selector(child),
            ["targetPortNumber"] = resource.Spec.Serving.Port,
            ["extensionRef"] = new JsonObject { ["name"] = picker.Name, ["portNumber"] = picker.Port },
        },
    };

    private static JsonObject Selector(ChildBuilder child) => new(child.Selector().Select(label => KeyValuePair.Create(label.Key, (JsonNode?)label.Value)));
}
