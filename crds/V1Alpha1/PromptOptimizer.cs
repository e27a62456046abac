using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>
/// PromptOptimizer runs the service that turns short text-to-image prompts into detailed ones with four agents.
/// </summary>
[KubernetesEntity(Group = ApiGroup.Name, ApiVersion = ApiGroup.Version, Kind = KindName, PluralName = "promptoptimizers")]
[Resource("promptoptimizers", "popt", MaxNameLength = 53)]
[PrinterColumn("Ready", ".status.conditions[?(@.type=='Ready')].status")]
[PrinterColumn("Endpoint", ".status.endpoint")]
[PrinterColumn("Reason", ".status.conditions[?(@.type=='Ready')].reason", Priority = 1)]
[PrinterColumn("Age", ".metadata.creationTimestamp", "date")]
public sealed class PromptOptimizer : CustomResource<PromptOptimizerSpec, PromptOptimizerStatus>
{
    /// <summary>The kind's name.</summary>
    public const string KindName = "PromptOptimizer";

    /// <summary>Creates an empty resource.</summary>
    public PromptOptimizer() => Kind = KindName;
}

/// <summary>Models, rounds and store of the service (PromptSculptor, arXiv 2509.12446).</summary>
[CelRule("self.replicas == 1 || self.store.type == 'PostgreSQL'", "replicas must be 1 with store.type Sqlite, whose file one process owns: write PostgreSQL for more")]
[CelRule("self.networkPolicy.enabled || !has(self.store.address)", "store.address is for the NetworkPolicy and has no effect while networkPolicy.enabled is false: remove it")]
public sealed class PromptOptimizerSpec
{
    /// <summary>The language model behind the agents.</summary>
    public required LanguageModelSpec LanguageModel { get; set; }

    /// <summary>How well a refined prompt keeps to the request.</summary>
    public ScorerSpec Scorer { get; set; } = new();

    /// <summary>Where images are made. Absent: prompts are judged by their text alone.</summary>
    public ImageModelSpec? ImageModel { get; set; }

    /// <summary>How often a prompt is revised.</summary>
    public RoundSpec Rounds { get; set; } = new();

    /// <summary>Limits of a job that names none.</summary>
    public JobBudget DefaultBudget { get; set; } = new();

    /// <summary>Where jobs and results are kept.</summary>
    public JobStoreSpec Store { get; set; } = new();

    /// <summary>How long jobs are kept, and how many may wait.</summary>
    public JobsSpec Jobs { get; set; } = new();

    /// <summary>Pods. More than one share a PostgreSQL database.</summary>
    [Range(1, 32)]
    public int Replicas { get; set; } = 1;

    /// <summary>Jobs that a pod works on at once.</summary>
    [Range(1, 256)]
    public int Workers { get; set; } = 2;

    /// <summary>The container image. Absent: the operator's own.</summary>
    [Size(1, 512)]
    [Pattern(Patterns.Image)]
    public string? Image { get; set; }

    /// <summary>When to pull the image.</summary>
    public ImagePullPolicy ImagePullPolicy { get; set; } = ImagePullPolicy.IfNotPresent;

    /// <summary>Secrets for pulling the image.</summary>
    [Size(0, 16)]
    public List<LocalReference>? ImagePullSecrets { get; set; }

    /// <summary>Requests and limits.</summary>
    public V1ResourceRequirements? Resources { get; set; }

    /// <summary>Where the pod may run.</summary>
    public ServicePlacement? Placement { get; set; }

    /// <summary>TCP port of the HTTP API.</summary>
    [Range(1, 65535)]
    public int Port { get; set; } = 8080;

    /// <summary>Which traffic may reach the pods.</summary>
    public NetworkPolicySpec NetworkPolicy { get; set; } = new();
}

/// <summary>The language model behind the agents: a MoEDeployment or an endpoint.</summary>
[CelRule("has(self.moeDeploymentRef) != has(self.endpoint)", "exactly one of moeDeploymentRef and endpoint must be set")]
[CelRule("!(has(self.timeout) && has(self.endpoint))", "timeout is for moeDeploymentRef: write endpoint.timeout")]
public sealed class LanguageModelSpec
{
    /// <summary>A MoEDeployment of the same namespace.</summary>
    public LocalReference? MoeDeploymentRef { get; set; }

    /// <summary>How long one call to the MoEDeployment may take. Absent: 60s. An endpoint has its own.</summary>
    [Duration]
    [CelRule(CallDuration.Rule, CallDuration.Message)]
    public string? Timeout { get; set; }

    /// <summary>Any OpenAI-compatible endpoint.</summary>
    public ModelEndpoint? Endpoint { get; set; }
}

/// <summary>How well a refined prompt keeps to the request.</summary>
[CelRule("(self.type == 'VisionLanguageModel') == has(self.endpoint)", "endpoint must be set for type VisionLanguageModel and only then")]
[CelRule("(self.type == 'Clip') == has(self.clip)", "clip must be set for type Clip and only then")]
public sealed class ScorerSpec
{
    /// <summary>The scorer.</summary>
    public ScorerType Type { get; set; } = ScorerType.Text;

    /// <summary>The vision-language model.</summary>
    public ModelEndpoint? Endpoint { get; set; }

    /// <summary>
    /// The CLIP model, for type Clip: model.onnx, tokenizer.json (or vocab.json and merges.txt) and
    /// preprocessor_config.json, as Hugging Face's tools export them.
    /// </summary>
    public OnnxClassifierSpec? Clip { get; set; }
}

/// <summary>Scorers.</summary>
public enum ScorerType
{
    /// <summary>Checks of the text alone.</summary>
    Text,

    /// <summary>How similar a CLIP model finds image and request; needs imageModel.</summary>
    Clip,

    /// <summary>A vision-language model over prompt and image; needs imageModel.</summary>
    VisionLanguageModel,
}

/// <summary>Where images are made.</summary>
[CelRule("self.api == 'OpenAI' || !self.endpoint.url.matches('/v1/*$')", "endpoint.url for Automatic1111 and ComfyUI is that of the server itself, such as http://host:7860, without /v1")]
[CelRule("self.api == 'OpenAI' || self.size.split('x').all(side, int(side) % 8 == 0)", "size for Automatic1111 and ComfyUI must be in multiples of 8 pixels")]
public sealed class ImageModelSpec
{
    /// <summary>The endpoint's protocol.</summary>
    public required ImageApi Api { get; set; }

    /// <summary>
    /// The endpoint. For Automatic1111 and ComfyUI: <c>url</c> is that of the server itself, such as
    /// <c>http://host:7860</c>, <c>model</c> the name of the checkpoint, and a key of the form <c>user:password</c> is
    /// sent as basic authentication.
    /// </summary>
    public required ModelEndpoint Endpoint { get; set; }

    /// <summary>The dialect of the prompts that it is sent. Absent: DallE for OpenAI, StableDiffusion for the others.</summary>
    public PromptDialect? Dialect { get; set; }

    /// <summary>Width and height in pixels; multiples of 8 for Automatic1111 and ComfyUI.</summary>
    [Size(5, 11)]
    [Pattern("^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")]
    public string Size { get; set; } = "1024x1024";
}

/// <summary>Protocols of image endpoints.</summary>
public enum ImageApi
{
    /// <summary>The OpenAI images API.</summary>
    OpenAI,

    /// <summary>ComfyUI: a workflow for the checkpoint is put into its queue.</summary>
    ComfyUI,

    /// <summary>The API of AUTOMATIC1111's stable-diffusion-webui, which Forge and SD.Next speak, too.</summary>
    Automatic1111,
}

/// <summary>How often a prompt is revised. The paper gives no figures; these are ours.</summary>
public sealed class RoundSpec
{
    /// <summary>Most rounds of refining and judging.</summary>
    [Range(1, 20)]
    public int Max { get; set; } = 3;

    /// <summary>Score at which a prompt is accepted without a further round.</summary>
    [Range(0, 100)]
    public int AcceptScorePercent { get; set; } = 80;
}

/// <summary>Limits of a job.</summary>
public sealed class JobBudget
{
    /// <summary>Tokens, prompts and answers together.</summary>
    [Range(1, 100000000)]
    public int Tokens { get; set; } = 50000;

    /// <summary>Images.</summary>
    [Range(0, 1000)]
    public int Images { get; set; } = 4;

    /// <summary>Wall-clock time from acceptance.</summary>
    [Duration]
    [CelRule(PositiveDuration.Rule, PositiveDuration.Message)]
    public string Deadline { get; set; } = "10m";
}

/// <summary>What becomes of jobs before and after their time.</summary>
public sealed class JobsSpec
{
    /// <summary>
    /// How long a job is kept after it has ended; then it is deleted with its prompt, rounds and images. Absent: until
    /// somebody removes it.
    /// </summary>
    [Duration]
    [CelRule(RetentionDuration.Rule, RetentionDuration.Message)]
    public string? Retention { get; set; }

    /// <summary>Jobs that may wait. Further ones, and feedback, are refused (429) until some are done.</summary>
    [Range(1, 100000)]
    public int MaxWaiting { get; set; } = 1000;
}

/// <summary>Where jobs and results are kept.</summary>
[CelRule("(self.type == 'PostgreSQL') == has(self.connectionSecretRef)", "connectionSecretRef must be set for type PostgreSQL and only then")]
[CelRule("self.type == 'PostgreSQL' || !(has(self.caSecretRef) || has(self.address))", "caSecretRef and address have no effect for type Sqlite: remove them")]
[CelRule("self.type == 'Sqlite' || !has(self.storageClassName)", "storageClassName has no effect for type PostgreSQL: remove it")]
public sealed class JobStoreSpec
{
    /// <summary>The store.</summary>
    public JobStoreType Type { get; set; } = JobStoreType.Sqlite;

    /// <summary>Size of the volume claim, for Sqlite.</summary>
    public ResourceQuantity Size { get; set; } = new("1Gi");

    /// <summary>Storage class of the claim. Absent: the cluster's default.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public string? StorageClassName { get; set; }

    /// <summary>
    /// Connection string, for PostgreSQL: <c>postgresql://user:password@host:port/database</c>, or in Npgsql's keywords
    /// (<c>Host=...;Username=...;Password=...;Database=...</c>).
    /// </summary>
    public SecretKeyReference? ConnectionSecretRef { get; set; }

    /// <summary>
    /// Certificates in PEM of the authority behind the database server's own, for PostgreSQL. The connection is then
    /// encrypted, and the server's name verified. Absent: what the connection string says.
    /// </summary>
    public SecretKeyReference? CaSecretRef { get; set; }

    /// <summary>
    /// Host and port of the database server, for the NetworkPolicy: the operator may not read the connection string.
    /// Absent: pods may reach port 5432 anywhere.
    /// </summary>
    [Size(3, 512)]
    [Pattern("^[^\\s/]+:[0-9]{1,5}$")]
    public string? Address { get; set; }
}

/// <summary>Stores.</summary>
public enum JobStoreType
{
    /// <summary>A file in a volume of the service's own.</summary>
    Sqlite,

    /// <summary>A PostgreSQL database, which several pods may share.</summary>
    PostgreSQL,
}

/// <summary>What is, as the operator last saw it.</summary>
public sealed class PromptOptimizerStatus
{
    /// <summary>The generation of the spec that this status describes.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary>Ready, Progressing, Degraded, ModelResolved.</summary>
    [ListMap("type")]
    public List<V1Condition>? Conditions { get; set; }

    /// <summary>Base URL of the service inside the cluster.</summary>
    public string? Endpoint { get; set; }
}
