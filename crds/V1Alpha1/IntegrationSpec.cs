namespace Moebius.Crds.V1Alpha1;

/// <summary>Objects of other operators.</summary>
public sealed class IntegrationSpec
{
    /// <summary>A PodMonitor of the Prometheus operator.</summary>
    public IntegrationMode PodMonitor { get; set; } = IntegrationMode.Auto;

    /// <summary>An InferencePool of the Gateway API inference extension.</summary>
    public IntegrationMode InferencePool { get; set; } = IntegrationMode.Auto;
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
