using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>
/// MoEDeployment serves one Mixture-of-Experts model behind an OpenAI-compatible API on machines whose fast memory is
/// smaller than the model.
/// </summary>
[KubernetesEntity(Group = ApiGroup.Name, ApiVersion = ApiGroup.Version, Kind = KindName, PluralName = "moedeployments")]
[Resource("moedeployments", "moe", ScaleSpecPath = ".spec.replicas", ScaleStatusPath = ".status.replicas", ScaleSelectorPath = ".status.selector", MaxNameLength = 63)]
[PrinterColumn("Model", ".status.model")]
[PrinterColumn("Ready", ".status.conditions[?(@.type=='Ready')].status")]
[PrinterColumn("Replicas", ".status.readyReplicas", "integer")]
[PrinterColumn("Fast-Memory", ".spec.experts.fastMemory", Description = "Budget for resident experts; empty means all of them.")]
[PrinterColumn("Policy", ".spec.kvCache.policyRef.name", Priority = 1)]
[PrinterColumn("Reason", ".status.conditions[?(@.type=='Ready')].reason", Priority = 1)]
[PrinterColumn("Age", ".metadata.creationTimestamp", "date")]
public sealed class MoEDeployment : CustomResource<MoEDeploymentSpec, MoEDeploymentStatus>
{
    /// <summary>The kind's name.</summary>
    public const string KindName = "MoEDeployment";

    /// <summary>Creates an empty resource.</summary>
    public MoEDeployment() => Kind = KindName;
}

/// <summary>Which model, where from, with how much memory, and how many of it.</summary>
[CelRule("!has(self.autoscaling) || !has(self.replicas) || (self.replicas >= self.autoscaling.minReplicas && self.replicas <= self.autoscaling.maxReplicas)",
    "spec.replicas must lie between autoscaling.minReplicas and autoscaling.maxReplicas, or be left out when autoscaling is set")]
[CelRule("self.kvCache.enabled || !has(self.kvCache.policyRef)",
    "spec.kvCache.policyRef has no effect while spec.kvCache.enabled is false: remove it or enable the cache")]
public sealed class MoEDeploymentSpec
{
    /// <summary>The model and where it comes from.</summary>
    public required ModelSpec Model { get; set; }

    /// <summary>How experts share fast memory.</summary>
    public ExpertSpec Experts { get; set; } = new();

    /// <summary>The engine's limits.</summary>
    public ServingSpec Serving { get; set; } = new();

    /// <summary>The prefix cache beside the engine (SafeKV).</summary>
    public KVCacheSpec KVCache { get; set; } = new();

    /// <summary>The MemorySchedulingProfile whose nodes and hints these pods use.</summary>
    public LocalReference? MemorySchedulingProfileRef { get; set; }

    /// <summary>Pods to run. Absent: one, or what the autoscaler says.</summary>
    [Range(0, 1000)]
    public int? Replicas { get; set; }

    /// <summary>Scales the pods by load instead of a fixed number.</summary>
    public AutoscalingSpec? Autoscaling { get; set; }

    /// <summary>The container image that holds all Moebius programs. Absent: the operator's own.</summary>
    [Size(1, 512)]
    [Pattern(Patterns.Image)]
    public string? Image { get; set; }

    /// <summary>When to pull the image.</summary>
    public ImagePullPolicy ImagePullPolicy { get; set; } = ImagePullPolicy.IfNotPresent;

    /// <summary>Secrets for pulling the image.</summary>
    [Size(0, 16)]
    public List<LocalReference>? ImagePullSecrets { get; set; }

    /// <summary>Requests and limits of the inference container. Absent: sized from the model and the budgets.</summary>
    public V1ResourceRequirements? Resources { get; set; }

    /// <summary>Where pods may run.</summary>
    public PodPlacement? Placement { get; set; }

    /// <summary>How many pods a voluntary disruption may take at once.</summary>
    public DisruptionSpec Disruption { get; set; } = new();

    /// <summary>How many pods a rollout may add and take at once.</summary>
    public RolloutSpec Rollout { get; set; } = new();

    /// <summary>Which traffic may reach the pods.</summary>
    public NetworkPolicySpec NetworkPolicy { get; set; } = new();

    /// <summary>Objects of other operators, made when their definitions are installed.</summary>
    public IntegrationSpec Integrations { get; set; } = new();

    /// <summary>
    /// A partial pod template, merged strategically over the planned one. Names, selectors, and the arguments and
    /// volumes that Moebius owns are refused.
    /// </summary>
    [PreserveUnknownFields]
    public JsonObject? PodTemplate { get; set; }
}

/// <summary>What is, as the operator last saw it.</summary>
public sealed class MoEDeploymentStatus
{
    /// <summary>The generation of the spec that this status describes.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary>Ready, Progressing, Degraded, ModelFetched, MemoryFits, ModelLoaded, PolicyResolved, ProfileResolved, KVCacheReady.</summary>
    [ListMap("type")]
    public List<V1Condition>? Conditions { get; set; }

    /// <summary>Pods that exist.</summary>
    public int? Replicas { get; set; }

    /// <summary>Pods that answer requests.</summary>
    public int? ReadyReplicas { get; set; }

    /// <summary>Label selector of the pods, for autoscalers.</summary>
    public string? Selector { get; set; }

    /// <summary>The name clients ask for.</summary>
    public string? Model { get; set; }

    /// <summary>Base URL of the API inside the cluster.</summary>
    public string? Endpoint { get; set; }

    /// <summary>How much memory the model takes, once its files have been read.</summary>
    public ModelMemoryStatus? Memory { get; set; }
}

/// <summary>Memory of one pod, from the model's configuration and the sizes of its weights.</summary>
public sealed class ModelMemoryStatus
{
    /// <summary>The source that was read, as a hash.</summary>
    public string? Source { get; set; }

    /// <summary>Bytes of the weights that are always in memory.</summary>
    public long? DenseBytes { get; set; }

    /// <summary>Bytes of all routed experts.</summary>
    public long? ExpertBytes { get; set; }

    /// <summary>Bytes of the experts that one token uses in one layer: the smallest spec.experts.fastMemory.</summary>
    public long? SmallestExpertBytes { get; set; }

    /// <summary>Bytes of the keys and values of one token.</summary>
    public long? KVBytesPerToken { get; set; }

    /// <summary>Bytes of the intermediate results of one token of a step; spec.serving.maxBatchTokens is the largest step.</summary>
    public long? StepBytesPerToken { get; set; }

    /// <summary>What the routing predictor takes; it counts where spec.experts.prefetch looks ahead and spec.experts.fastMemory does not hold all experts.</summary>
    public ModelPredictorStatus? Predictor { get; set; }

    /// <summary>Memory that the inference container needs as the spec stands.</summary>
    public long? NeededBytes { get; set; }

    /// <summary>The largest spec.experts.fastMemory that the container's memory limit has room for.</summary>
    public long? ProposedExpertBytes { get; set; }
}

/// <summary>Memory of the routing predictor, by how far it looks ahead.</summary>
public sealed class ModelPredictorStatus
{
    /// <summary>Bytes of what the token ids say, before it looks ahead by a layer.</summary>
    public long? Bytes { get; set; }

    /// <summary>Bytes for each layer that it may look ahead: spec.experts.prefetch.maxHorizon, or horizon with mode Fixed.</summary>
    public long? BytesPerLayerAhead { get; set; }

    /// <summary>Layers with experts: it looks no farther.</summary>
    public int? Layers { get; set; }

    /// <summary>Bytes of one token of a step for each layer that it looks ahead.</summary>
    public long? StepBytesPerLayerAhead { get; set; }
}
