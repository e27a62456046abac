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

/// <summary>The model and where it comes from.</summary>
public sealed class ModelSpec
{
    /// <summary>The name clients ask for. Absent: the resource's name.</summary>
    [Size(1, 128)]
    [Pattern("^[A-Za-z0-9]([-A-Za-z0-9._/]*[A-Za-z0-9])?$")]
    public string? Name { get; set; }

    /// <summary>Where the model directory (config.json, safetensors, tokenizer.json) is.</summary>
    public required ModelSource Source { get; set; }
}

/// <summary>Where a model directory comes from: exactly one of the fields.</summary>
[CelRule("[has(self.hostPath), has(self.persistentVolumeClaim), has(self.image), has(self.s3), has(self.http), has(self.huggingFace)].filter(x, x).size() == 1",
    "exactly one of hostPath, persistentVolumeClaim, image, s3, http, huggingFace must be set")]
public sealed class ModelSource
{
    /// <summary>A directory on the node.</summary>
    public HostPathModel? HostPath { get; set; }

    /// <summary>A directory in a volume claim.</summary>
    public ClaimModel? PersistentVolumeClaim { get; set; }

    /// <summary>A directory in an OCI image, mounted as an image volume.</summary>
    public ImageModel? Image { get; set; }

    /// <summary>A prefix in an S3 bucket.</summary>
    public S3Model? S3 { get; set; }

    /// <summary>An archive behind a URL.</summary>
    public HttpModel? Http { get; set; }

    /// <summary>A repository of the Hugging Face Hub.</summary>
    public HuggingFaceModel? HuggingFace { get; set; }

    /// <summary>Where a downloaded model is kept, shared by all pods (s3, http, huggingFace).</summary>
    public ModelStore? Store { get; set; }
}

/// <summary>A directory on the node.</summary>
public sealed class HostPathModel
{
    /// <summary>Absolute path.</summary>
    [Size(1, 4096)]
    [Pattern("^/.*$")]
    public required string Path { get; set; }
}

/// <summary>A directory in a volume claim.</summary>
public sealed class ClaimModel
{
    /// <summary>The claim's name.</summary>
    [Size(1, 253)]
    public required string ClaimName { get; set; }

    /// <summary>Path inside the volume, relative.</summary>
    [Size(0, 1024)]
    [CelRule("!self.startsWith('/') && !self.contains('..')", "path must be relative and stay inside the volume")]
    public string Path { get; set; } = "";
}

/// <summary>A directory in an OCI image.</summary>
public sealed class ImageModel
{
    /// <summary>The image, with tag or digest.</summary>
    [Size(1, 512)]
    public required string Reference { get; set; }

    /// <summary>When to pull it.</summary>
    public ImagePullPolicy PullPolicy { get; set; } = ImagePullPolicy.IfNotPresent;

    /// <summary>Path inside the image, relative.</summary>
    [Size(0, 1024)]
    [CelRule("!self.startsWith('/') && !self.contains('..')", "path must be relative and stay inside the image")]
    public string Path { get; set; } = "";
}

/// <summary>A prefix in an S3 bucket.</summary>
public sealed class S3Model
{
    /// <summary>Bucket and prefix.</summary>
    [Size(6, 1024)]
    [Pattern("^s3://[^/]+(/.*)?$")]
    public required string Uri { get; set; }

    /// <summary>Endpoint of a store that is not AWS.</summary>
    [Pattern("^https?://[^\\s]+$")]
    [Size(1, 2048)]
    public string? Endpoint { get; set; }

    /// <summary>Region.</summary>
    [Size(1, 64)]
    public string? Region { get; set; }

    /// <summary>Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.</summary>
    public LocalReference? CredentialsSecretRef { get; set; }
}

/// <summary>An archive (tar, tar.gz, zip) behind a URL.</summary>
public sealed class HttpModel
{
    /// <summary>The archive's URL.</summary>
    [Size(1, 2048)]
    [Pattern("^https?://[^\\s]+$")]
    public required string Url { get; set; }

    /// <summary>SHA-256 of the archive, in hexadecimal.</summary>
    [Size(64, 64)]
    [Pattern("^[0-9a-f]{64}$")]
    public required string Sha256 { get; set; }
}

/// <summary>A repository of the Hugging Face Hub.</summary>
public sealed class HuggingFaceModel
{
    /// <summary>Owner and name.</summary>
    [Size(3, 256)]
    [Pattern("^[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$")]
    public required string Repository { get; set; }

    /// <summary>Commit, tag or branch.</summary>
    [Size(1, 256)]
    public string Revision { get; set; } = "main";

    /// <summary>Access token.</summary>
    public SecretKeyReference? TokenSecretRef { get; set; }
}

/// <summary>A volume claim that the operator makes for a downloaded model.</summary>
public sealed class ModelStore
{
    /// <summary>Size of the claim.</summary>
    public required ResourceQuantity Size { get; set; }

    /// <summary>Storage class. Absent: the cluster's default.</summary>
    [Size(1, 253)]
    public string? StorageClassName { get; set; }
}

/// <summary>How experts share fast memory (ExpertFlow, arXiv 2510.26730).</summary>
public sealed class ExpertSpec
{
    /// <summary>Hard limit for the bytes of resident experts. Absent: all experts are resident.</summary>
    public ResourceQuantity? FastMemory { get; set; }

    /// <summary>Where experts that are not resident are read from.</summary>
    public SlowTier SlowTier { get; set; } = SlowTier.DirectIO;

    /// <summary>How experts are stored in fast memory. Changes outputs; everything else never does.</summary>
    public ExpertQuantization Quantization { get; set; } = ExpertQuantization.None;

    /// <summary>Which experts are loaded before they are needed.</summary>
    public PrefetchSpec Prefetch { get; set; } = new();
}

/// <summary>The tier that experts are loaded from.</summary>
public enum SlowTier
{
    /// <summary>The weight file, bypassing the page cache.</summary>
    DirectIO,

    /// <summary>The weight file through the page cache.</summary>
    MemoryMap,

    /// <summary>Pinned host memory, for a fast tier on a device.</summary>
    HostMemory,
}

/// <summary>Storage of resident experts.</summary>
public enum ExpertQuantization
{
    /// <summary>As in the checkpoint.</summary>
    None,

    /// <summary>8-bit integers with a scale per group.</summary>
    Int8,

    /// <summary>4-bit integers with a scale per group.</summary>
    Int4,
}

/// <summary>Expert prefetch.</summary>
[CelRule("self.mode == 'Fixed' ? has(self.horizon) : !has(self.horizon)", "horizon must be set for mode Fixed and only then")]
public sealed class PrefetchSpec
{
    /// <summary>Who decides how far ahead to load.</summary>
    public PrefetchMode Mode { get; set; } = PrefetchMode.OnDemand;

    /// <summary>Layers ahead, for mode Fixed.</summary>
    [Range(1, 8)]
    public int? Horizon { get; set; }

    /// <summary>Largest horizon that mode Adaptive may choose.</summary>
    [Range(1, 64)]
    public int MaxHorizon { get; set; } = 8;

    /// <summary>Stalls after which mode Adaptive looks one layer further ahead.</summary>
    [Range(1, 1000)]
    public int StallThreshold { get; set; } = 4;

    /// <summary>Experts prefetched and evicted unused after which mode Adaptive looks one layer less far ahead.</summary>
    [Range(1, 1000)]
    public int OverfetchThreshold { get; set; } = 8;
}

/// <summary>Prefetch strategies.</summary>
public enum PrefetchMode
{
    /// <summary>Load an expert when the router asks for it.</summary>
    OnDemand,

    /// <summary>Predict a fixed number of layers ahead.</summary>
    Fixed,

    /// <summary>The horizon follows bandwidth, compute time, stalls and over-fetches (ExpertFlow).</summary>
    Adaptive,
}

/// <summary>The engine's limits.</summary>
public sealed class ServingSpec
{
    /// <summary>Largest prompt plus output, in tokens. Absent: what the model allows.</summary>
    [Range(16, 16777216)]
    public int? ContextLength { get; set; }

    /// <summary>Sequences computed at once.</summary>
    [Range(1, 4096)]
    public int MaxConcurrentSequences { get; set; } = 16;

    /// <summary>Requests that may wait; more are answered 429 with Retry-After.</summary>
    [Range(0, 100000)]
    public int MaxQueuedRequests { get; set; } = 128;

    /// <summary>Tokens of one step, decodes and prefill chunks together.</summary>
    [Range(16, 65536)]
    public int MaxBatchTokens { get; set; } = 512;

    /// <summary>Memory for keys and values of running sequences.</summary>
    public ResourceQuantity KVMemory { get; set; } = new("512Mi");

    /// <summary>Number format of the dense weights and the arithmetic.</summary>
    public ComputeType ComputeType { get; set; } = ComputeType.Float32;

    /// <summary>Compute threads. Absent: the container's CPU limit, or all cores.</summary>
    [Range(1, 1024)]
    public int? Threads { get; set; }

    /// <summary>How long running requests may finish after a stop is asked for.</summary>
    [Duration]
    public string DrainTimeout { get; set; } = "30s";

    /// <summary>TCP port of the HTTP API.</summary>
    [Range(1, 65535)]
    public int Port { get; set; } = 8000;
}

/// <summary>Number formats.</summary>
public enum ComputeType
{
    /// <summary>32-bit floating point.</summary>
    Float32,

    /// <summary>bfloat16.</summary>
    BFloat16,

    /// <summary>16-bit floating point.</summary>
    Float16,
}

/// <summary>The prefix cache beside the engine (SafeKV, arXiv 2508.08438).</summary>
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
    public string Timeout { get; set; } = "50ms";
}

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

/// <summary>When to pull an image.</summary>
public enum ImagePullPolicy
{
    /// <summary>When the node does not have it.</summary>
    IfNotPresent,

    /// <summary>At every start.</summary>
    Always,

    /// <summary>Not at all: the node must have it.</summary>
    Never,
}

/// <summary>Where pods may run.</summary>
public sealed class PodPlacement
{
    /// <summary>Labels a node must have. The profile's node selector is added.</summary>
    [Size(0, 64)]
    [ItemSize(0, 63)]
    public Dictionary<string, string>? NodeSelector { get; set; }

    /// <summary>Taints the pods tolerate.</summary>
    [Size(0, 64)]
    public List<V1Toleration>? Tolerations { get; set; }

    /// <summary>Spread over zones or nodes. A missing label selector is filled in.</summary>
    [Size(0, 16)]
    public List<V1TopologySpreadConstraint>? TopologySpreadConstraints { get; set; }

    /// <summary>Priority class.</summary>
    [Size(1, 253)]
    public string? PriorityClassName { get; set; }
}

/// <summary>The PodDisruptionBudget.</summary>
public sealed class DisruptionSpec
{
    /// <summary>Pods that a voluntary disruption may take at once.</summary>
    [Range(0, 1000)]
    public int MaxUnavailable { get; set; } = 1;
}

/// <summary>The NetworkPolicy of the pods: everything is denied but what is listed here and what Moebius needs.</summary>
public sealed class NetworkPolicySpec
{
    /// <summary>Make a NetworkPolicy.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>Who may call the API. Absent: every pod of the namespace.</summary>
    [Size(0, 32)]
    public List<V1NetworkPolicyPeer>? AllowFrom { get; set; }
}

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

/// <summary>What is, as the operator last saw it.</summary>
public sealed class MoEDeploymentStatus
{
    /// <summary>The generation of the spec that this status describes.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary>Ready, Progressing, Degraded, ModelLoaded, PolicyResolved, ProfileResolved, KVCacheReady.</summary>
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
}
