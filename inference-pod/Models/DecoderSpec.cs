using Moebius.Inference.Checkpoints;
using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>
/// A decoder as its configuration describes it. A family's file makes one of these from a <see cref="ModelConfig"/>;
/// <see cref="Decoder"/> runs any of them. Every layer is: x += m * attention(norm(x)); x += m * ffn(norm(x)).
/// </summary>
internal sealed record DecoderSpec
{
    public required string Architecture { get; init; }

    public required int Vocabulary { get; init; }

    public required int Hidden { get; init; }

    public required int Layers { get; init; }

    /// <summary>Layers after the last, which predict several tokens at once: the checkpoint may hold them, and they are not read.</summary>
    public int PredictionLayers { get; init; }

    public required int Context { get; init; }

    public required float NormEpsilon { get; init; }

    /// <summary>Mean-centred norm with a bias instead of root mean square.</summary>
    public bool LayerNorm { get; init; }

    public required bool TiedEmbeddings { get; init; }

    public bool HeadBias { get; init; }

    public float EmbeddingMultiplier { get; init; } = 1;

    public float ResidualMultiplier { get; init; } = 1;

    public float LogitsDivisor { get; init; } = 1;

    public required Rope Rope { get; init; }

    public required AttentionSpec Attention { get; init; }

    /// <summary>One per layer.</summary>
    public required IReadOnlyList<FeedForwardSpec> FeedForward { get; init; }

    /// <summary>Which weights in fp8 share a scale; null where none are in fp8.</summary>
    public Fp8Blocks? Fp8 { get; init; }
}

/// <summary>How a layer attends.</summary>
internal abstract record AttentionSpec
{
    public required int Heads { get; init; }

    /// <summary>Keys that a query of a layer sees, itself included; null for all. One per layer.</summary>
    public required IReadOnlyList<int?> Windows { get; init; }

    public required float Scale { get; init; }
}

internal enum QueryKeyNorm
{
    None,

    /// <summary>Over each head.</summary>
    Head,

    /// <summary>Over all heads of a token together.</summary>
    Row,
}

/// <summary>Grouped-query attention (arXiv 2305.13245).</summary>
internal sealed record GroupedAttentionSpec : AttentionSpec
{
    public required int KvHeads { get; init; }

    public required int HeadDim { get; init; }

    public bool InputBias { get; init; }

    public bool OutputBias { get; init; }

    public QueryKeyNorm Norm { get; init; }

    /// <summary>Queries, keys and values are clamped to +-this.</summary>
    public float? Clip { get; init; }

    /// <summary>A learned logit per head that takes part in the softmax and attends nothing.</summary>
    public bool Sinks { get; init; }
}

/// <summary>Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).</summary>
internal sealed record LatentAttentionSpec : AttentionSpec
{
    /// <summary>Null: queries are projected in one step.</summary>
    public required int? QueryRank { get; init; }

    public required int KvRank { get; init; }

    public required int NopeDim { get; init; }

    public required int RopeDim { get; init; }

    public required int ValueDim { get; init; }

    /// <summary>Biases on the two down-projections and the output.</summary>
    public bool Bias { get; init; }
}

/// <summary>What follows attention in a layer.</summary>
internal abstract record FeedForwardSpec;

/// <summary>A gated feed-forward: down(act(gate(x)) * up(x)).</summary>
/// <param name="Prefix">Name of the module within the layer.</param>
/// <param name="Intermediate">Rows of gate and up.</param>
/// <param name="Activation">Of the gate.</param>
/// <param name="Bias">All three have biases.</param>
internal sealed record DenseSpec(string Prefix, int Intermediate, Activation Activation, bool Bias = false) : FeedForwardSpec;

/// <summary>A mixture of experts.</summary>
internal sealed record MoeSpec : FeedForwardSpec
{
    public required RouterSpec Router { get; init; }

    /// <summary>Name of the router's weight within the layer, without <c>.weight</c>.</summary>
    public required string RouterName { get; init; }

    public bool RouterBias { get; init; }

    /// <summary>Name within the layer of the bias that only the choice of experts sees; null for none.</summary>
    public string? CorrectionName { get; init; }

    public required int Intermediate { get; init; }

    public required Activation Activation { get; init; }

    /// <summary>Where the layer's experts lie in the checkpoint.</summary>
    public required ExpertNaming Naming { get; init; }

    /// <summary>An expert that every token passes; null for none.</summary>
    public DenseSpec? Shared { get; init; }

    /// <summary>Name within the layer of the sigmoid gate on the shared expert; null for none.</summary>
    public string? SharedGateName { get; init; }
}
