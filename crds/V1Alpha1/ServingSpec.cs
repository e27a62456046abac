using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>The engine's limits.</summary>
[CelRule("self.reasoningParser != 'Harmony' || self.toolCallParser in ['Auto', 'None', 'Harmony']", "reasoningParser Harmony goes with toolCallParser Auto, None or Harmony only")]
[CelRule("self.toolCallParser != 'Harmony' || self.reasoningParser in ['Auto', 'None', 'Harmony']", "toolCallParser Harmony goes with reasoningParser Auto, None or Harmony only")]
[CelRule("self.maxBatchTokens >= self.maxConcurrentSequences", "maxBatchTokens must be at least maxConcurrentSequences: every running sequence takes a token of a step")]
public sealed class ServingSpec
{
    /// <summary>Most compute threads.</summary>
    public const int MostThreads = 1024;

    /// <summary>Largest prompt plus output, in tokens. Absent: what the model allows.</summary>
    [Range(16, 16777216)]
    public int? ContextLength { get; set; }

    /// <summary>Sequences computed at once.</summary>
    [Range(1, 4096)]
    public int MaxConcurrentSequences { get; set; } = 16;

    /// <summary>Requests that may wait; more are answered 429 with Retry-After, but for those of a tenant that has less than its share of the places.</summary>
    [Range(0, 100000)]
    public int MaxQueuedRequests { get; set; } = 128;

    /// <summary>Tokens of one step, decodes and prefill chunks together; at least maxConcurrentSequences.</summary>
    [Range(16, 65536)]
    public int MaxBatchTokens { get; set; } = 512;

    /// <summary>Memory for keys and values of running sequences.</summary>
    public ByteQuantity KVMemory { get; set; } = new("512Mi");

    /// <summary>Number format of the dense weights and the arithmetic.</summary>
    public ComputeType ComputeType { get; set; } = ComputeType.Float32;

    /// <summary>Compute threads. Absent: the container's CPU limit, or all cores.</summary>
    [Range(1, MostThreads)]
    public int? Threads { get; set; }

    /// <summary>How the model writes calls of tools, which become <c>tool_calls</c> of the answer.</summary>
    public ToolCallParser ToolCallParser { get; set; } = ToolCallParser.Auto;

    /// <summary>How the model writes what is for itself, which becomes <c>reasoning_content</c> and <c>reasoning</c> of the answer.</summary>
    public ReasoningParser ReasoningParser { get; set; } = ReasoningParser.Auto;

    /// <summary>How long running requests may finish after a stop is asked for.</summary>
    [Duration]
    [CelRule(TimerDuration.Rule, TimerDuration.Message)]
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

    /// <summary>bfloat16. This version refuses it.</summary>
    BFloat16,

    /// <summary>16-bit floating point. This version refuses it.</summary>
    Float16,
}

/// <summary>Formats of reasoning.</summary>
public enum ReasoningParser
{
    /// <summary>As the model's chat template shows.</summary>
    Auto,

    /// <summary>Reasoning stays content.</summary>
    None,

    /// <summary>A section between think tags before the answer: Qwen3, DeepSeek R1 and V3.1, GLM-4.5.</summary>
    Think,

    /// <summary>A section between think tags and an answer between response tags: Granite 3.3.</summary>
    Granite,

    /// <summary>The analysis channel: gpt-oss.</summary>
    Harmony,
}

/// <summary>Formats of tool calls.</summary>
public enum ToolCallParser
{
    /// <summary>As the model's chat template shows.</summary>
    Auto,

    /// <summary>Calls stay text.</summary>
    None,

    /// <summary>JSON between tool_call tags: Qwen2.5, Qwen3, Hermes.</summary>
    Hermes,

    /// <summary>After [TOOL_CALLS]: Mixtral, Mistral.</summary>
    Mistral,

    /// <summary>DeepSeek's tool markers: V3, V3.1, R1.</summary>
    DeepSeekV3,

    /// <summary>A JSON list after a tool_call marker: Granite 3.</summary>
    Granite,

    /// <summary>Tags for keys and values: GLM-4.5.</summary>
    Glm45,

    /// <summary>Tags for a function and its parameters: Qwen3-Coder.</summary>
    Qwen3Coder,

    /// <summary>Channels and recipients: gpt-oss.</summary>
    Harmony,
}
