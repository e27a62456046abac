namespace Moebius.Inference.Models.Families;

/// <summary>Qwen3-MoE (arXiv 2505.09388).</summary>
internal static class Qwen3Moe
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_key_value_heads": 4, "num_experts_per_tok": 8, "num_experts": 128, "max_position_embeddings": 32768, "sliding_window": 4096, "moe_intermediate_size": 768}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        config.On("use_qk_norm");
        var (experts, topK) = config.ExpertCounts("num_local_experts", "num_experts");
        var headDim = config.HeadDim();
        var bias = config.Flag(false, "attention_bias");
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = CommonFields.DefaultScale(headDim),
            Windows = config.SameWindow(config.Flag(false, "use_sliding_window")),
            InputBias = bias,
            OutputBias = bias,
            Norm = QueryKeyNorm.Head,
        };
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.SoftmaxTopK, experts, topK) { Normalize = config.Flag(false, "norm_topk_prob") },
            RouterName = "mlp.gate",
            Intermediate = config.Size("moe_intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = CommonFields.GateUpDown,
        };
        return config.Decoder(1e-6, Rope.Read(config, headDim), attention, config.SparseSteps(moe));
    }
}
