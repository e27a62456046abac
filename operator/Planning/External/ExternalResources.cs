using System.Text.Json.Nodes;
using k8s;
using k8s.Models;

namespace Moebius.Operator.Planning.External;

/// <summary>
/// An object of another operator's kind. Its definition may be missing, of any version, or come later, so the spec is
/// kept as JSON.
/// </summary>
public abstract class ExternalResource : IKubernetesObject<V1ObjectMeta>
{
    /// <summary>Group and version.</summary>
    public string ApiVersion { get; set; } = "";

    /// <summary>The kind.</summary>
    public string Kind { get; set; } = "";

    /// <summary>Name, namespace, labels, owner.</summary>
    public V1ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is wanted, as that kind's definition has it.</summary>
    public JsonObject? Spec { get; set; }
}

/// <summary>Tells the Prometheus operator which pods to scrape.</summary>
[KubernetesEntity(Group = "monitoring.coreos.com", ApiVersion = "v1", Kind = nameof(PodMonitor), PluralName = "podmonitors")]
public sealed class PodMonitor : ExternalResource;

/// <summary>A pool of model servers behind a gateway (Gateway API inference extension).</summary>
[KubernetesEntity(Group = "inference.networking.k8s.io", ApiVersion = "v1", Kind = nameof(InferencePool), PluralName = "inferencepools")]
public sealed class InferencePool : ExternalResource;

/// <summary>The same before it was stable.</summary>
[KubernetesEntity(Group = "inference.networking.x-k8s.io", ApiVersion = "v1alpha2", Kind = nameof(InferencePool), PluralName = "inferencepools")]
public sealed class InferencePoolAlpha : ExternalResource;

/// <summary>Scales a workload by triggers (KEDA).</summary>
[KubernetesEntity(Group = "keda.sh", ApiVersion = "v1alpha1", Kind = nameof(ScaledObject), PluralName = "scaledobjects")]
public sealed class ScaledObject : ExternalResource;
