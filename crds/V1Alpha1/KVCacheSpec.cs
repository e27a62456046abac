using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>The prefix cache beside the engine (SafeKV, arXiv 2508.08438).</summary>
[CelRule("self.enabled || !(has(self.ssd) || has(self.shared) || has(self.resources))", "ssd, shared and resources have no effect while enabled is false: remove them, or enable the cache")]
public sealed class KVCacheSpec
{
    /// <summary>False: no sidecar, no reuse between requests.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>Size of the shared-memory arena. Counts against the pod's memory.</summary>
    public ResourceQuantity Memory { get; set; } = new("1Gi");

    /// <summary>Tokens of a block: the unit of reuse.</summary>
    [Range(1, 1024)]
    public int BlockTokens { get; set; } = 16;

    /// <summary>The KVPrivacyPolicy. Absent: everything stays private to its tenant.</summary>
    public LocalReference? PolicyRef { get; set; }

    /// <summary>A second tier on disk.</summary>
    public SsdTierSpec? Ssd { get; set; }

    /// <summary>A tier shared between pods.</summary>
    public SharedTierSpec? Shared { get; set; }

    /// <summary>Requests and limits of the sidecar. Absent: sized from the arena.</summary>
    public V1ResourceRequirements? Resources { get; set; }
}

/// <summary>KV blocks on disk.</summary>
public sealed class SsdTierSpec
{
    /// <summary>Bytes to use.</summary>
    public required ResourceQuantity Size { get; set; }

    /// <summary>Storage class for a volume per pod. Absent: an emptyDir on the node's disk.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public string? StorageClassName { get; set; }
}

/// <summary>KV blocks in a store that speaks the Redis protocol.</summary>
public sealed class SharedTierSpec
{
    /// <summary>Host and port.</summary>
    [Size(3, 512)]
    [Pattern("^[^\\s/]+:[0-9]{1,5}$")]
    public required string Address { get; set; }

    /// <summary>Password.</summary>
    public SecretKeyReference? PasswordSecretRef { get; set; }

    /// <summary>Use TLS.</summary>
    public bool Tls { get; set; }

    /// <summary>How long one call may take before the pod goes on without it.</summary>
    [Duration]
    [CelRule(CallDuration.Rule, CallDuration.Message)]
    public string Timeout { get; set; } = "50ms";
}
