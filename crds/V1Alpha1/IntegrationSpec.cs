using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>Objects of other operators.</summary>
[CelRule("self.inferencePool != 'Required' || has(self.endpointPickerRef)", "endpointPickerRef must be set for inferencePool Required")]
[CelRule("self.inferencePool != 'Disabled' || !has(self.endpointPickerRef)", "endpointPickerRef has no effect with inferencePool Disabled: remove it, or write Auto")]
public sealed class IntegrationSpec
{
    /// <summary>A PodMonitor of the Prometheus operator. Auto makes none where one for all inference pods exists (--shared-pod-monitor of the operator).</summary>
    public IntegrationMode PodMonitor { get; set; } = IntegrationMode.Auto;

    /// <summary>An InferencePool of the Gateway API inference extension. Auto also needs endpointPickerRef.</summary>
    public IntegrationMode InferencePool { get; set; } = IntegrationMode.Auto;

    /// <summary>
    /// The Service of the endpoint picker that an InferencePool has to name. It chooses by the engines' metrics, which are on
    /// port 9400: it needs --model-server-metrics-port=9400, and its pods a place in networkPolicy.allowMetricsFrom.
    /// </summary>
    public EndpointPickerReference? EndpointPickerRef { get; set; }
}

/// <summary>The Service of an endpoint picker, in the same namespace.</summary>
public sealed class EndpointPickerReference
{
    /// <summary>The Service's name.</summary>
    [Size(1, 63)]
    [Pattern(Patterns.ServiceName)]
    public required string Name { get; set; }

    /// <summary>Its gRPC port.</summary>
    [Range(1, 65535)]
    public int Port { get; set; } = 9002;
}

/// <summary>When an optional object is made.</summary>
public enum IntegrationMode
{
    /// <summary>When its definition is installed.</summary>
    Auto,

    /// <summary>In any case: a missing definition is reported as a condition.</summary>
    Required,

    /// <summary>Never.</summary>
    Disabled,
}
