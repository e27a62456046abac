using Moebius.Inference.Experts;

namespace Moebius.Inference.Models.Families;

/// <summary>Granite 3 MoE: multipliers on the embedding, the residuals, the attention scores and the logits.</summary>
internal static class GraniteMoe
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_experts_per_tok": 2, "num_local_experts": 8, "max_position_embeddings": 2048}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        var (experts, topK) = config.ExpertCounts("num_local_experts", "num_experts");
        var headDim = config.HeadDim();
        var bias = config.Flag(false, "attention_bias");
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = config.Number(1, "attention_multiplier") is > 0 and var scale ? (float)scale : throw config.Bad("attention_multiplier", "a number above 0"),
            Windows = config.NoWindow(),
            InputBias = bias,
            OutputBias = bias,
        };
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.TopKSoftmax, experts, topK),
            RouterName = "block_sparse_moe.router.layer",
            Intermediate = config.Size("intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = new StackedExperts("block_sparse_moe.input_linear.weight", "block_sparse_moe.output_linear.weight"),
        };
        var divisor = config.Number(1, "logits_scaling");
        return config.Decoder(1e-6, Rope.Read(config, headDim), attention, config.AllExperts(moe)) with
        {
            EmbeddingMultiplier = (float)config.Number(1, "embedding_multiplier"),
            ResidualMultiplier = (float)config.Number(1, "residual_multiplier"),
            LogitsDivisor = divisor != 0 ? (float)divisor : throw config.Bad("logits_scaling", "a number other than 0"),
        };
    }
}
