using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>The name of another resource in the same namespace (or of a cluster-scoped one).</summary>
public sealed class LocalReference
{
    /// <summary>The resource's name.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public required string Name { get; set; }
}

/// <summary>One key of a Secret in the same namespace.</summary>
public sealed class SecretKeyReference
{
    /// <summary>The Secret's name.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public required string Name { get; set; }

    /// <summary>The key in its data.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.DataKey)]
    public required string Key { get; set; }
}

/// <summary>An OpenAI-compatible HTTP endpoint.</summary>
public sealed class ModelEndpoint
{
    /// <summary>Base URL up to and including <c>/v1</c>.</summary>
    [Size(1, 2048)]
    [Pattern(Patterns.Url)]
    public required string Url { get; set; }

    /// <summary>The model to ask for.</summary>
    [Size(1, 256)]
    public required string Model { get; set; }

    /// <summary>Bearer token for the endpoint.</summary>
    public SecretKeyReference? ApiKeySecretRef { get; set; }

    /// <summary>How long one call may take.</summary>
    [Duration]
    [CelRule(CallDuration.Rule, CallDuration.Message)]
    public string Timeout { get; set; } = "60s";
}
