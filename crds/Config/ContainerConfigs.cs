using Moebius.Crds.Schema;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds.Config;

// The files that the operator renders into ConfigMaps and the containers read with --config. They repeat the custom
// resources' own types, so a field has one name from `kubectl apply` to the process that honours it. Paths, listen
// addresses and secrets come as flags and environment variables, never in these files.

/// <summary>Configuration of the inference container (<c>moebius serve --config</c>).</summary>
public sealed class InferenceConfig
{
    /// <summary>The name clients ask for.</summary>
    public required string ModelName { get; set; }

    /// <summary>How experts share fast memory.</summary>
    public ExpertSpec Experts { get; set; } = new();

    /// <summary>The engine's limits.</summary>
    public ServingSpec Serving { get; set; } = new();

    /// <summary>Tokens of a KV block.</summary>
    [Range(1, 1024)]
    public int BlockTokens { get; set; } = 16;
}

/// <summary>Configuration of the SafeKV sidecar (<c>moebius kvcache serve --config</c>).</summary>
public sealed class KVCacheConfig
{
    /// <summary>Arena size, block size and further tiers.</summary>
    public KVCacheSpec KVCache { get; set; } = new();
}

/// <summary>Configuration of the node agent (<c>moebius cxl agent --config</c>).</summary>
public sealed class NodeAgentConfig
{
    /// <summary>The profile's name.</summary>
    public required string Profile { get; set; }

    /// <summary>Hints for pods, first match wins.</summary>
    [Size(0, 64)]
    [ListMap("name")]
    public List<WorkloadHint>? Workloads { get; set; }

    /// <summary>How memory traffic is scheduled.</summary>
    public MemoryPolicySpec Policy { get; set; } = new();

    /// <summary>What to do where the node cannot do what the policy asks.</summary>
    public MemoryFallbackSpec Fallback { get; set; } = new();

    /// <summary>Where read and write counts come from.</summary>
    public TelemetrySpec Telemetry { get; set; } = new();
}

/// <summary>Configuration of the prompt-optimization service (<c>moebius prompt-optimizer serve --config</c>).</summary>
public sealed class PromptOptimizerConfig
{
    /// <summary>The language model's endpoint, resolved. Its API key comes in MOEBIUS_LLM_API_KEY.</summary>
    public required ModelEndpoint LanguageModel { get; set; }

    /// <summary>How well a refined prompt keeps to the request. Its API key comes in MOEBIUS_SCORER_API_KEY.</summary>
    public ScorerSpec Scorer { get; set; } = new();

    /// <summary>Where images are made. Its API key comes in MOEBIUS_IMAGE_API_KEY.</summary>
    public ImageModelSpec? ImageModel { get; set; }

    /// <summary>How often a prompt is revised.</summary>
    public RoundSpec Rounds { get; set; } = new();

    /// <summary>Limits of a job that names none.</summary>
    public JobBudget DefaultBudget { get; set; } = new();

    /// <summary>Where jobs are kept. The connection string of PostgreSQL comes in MOEBIUS_STORE_CONNECTION, the certificates of its authority, if any, in MOEBIUS_STORE_CA.</summary>
    public JobStoreType Store { get; set; } = JobStoreType.Sqlite;

    /// <summary>How long jobs are kept, and how many may wait.</summary>
    public JobsSpec Jobs { get; set; } = new();

    /// <summary>Jobs worked on at once.</summary>
    [Range(1, 256)]
    public int Workers { get; set; } = 2;
}
