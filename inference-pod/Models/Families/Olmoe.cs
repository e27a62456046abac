namespace Moebius.Inference.Models.Families;

/// <summary>OLMoE (arXiv 2409.02060): query and key norms over all heads together, optional clipping.</summary>
internal static class Olmoe
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_experts_per_tok": 8, "num_experts": 64, "max_position_embeddings": 4096}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        config.On("use_qk_norm");
        var (experts, topK) = config.ExpertCounts("num_experts", "num_local_experts");
        var headDim = config.HeadDim();
        var bias = config.Flag(false, "attention_bias");
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = CommonFields.DefaultScale(headDim),
            Windows = config.NoWindow(),
            InputBias = bias,
            OutputBias = bias,
            Norm = QueryKeyNorm.Row,
            Clip = (float?)config.NumberOrNull("clip_qkv"),
        };
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.SoftmaxTopK, experts, topK) { Normalize = config.Flag(false, "norm_topk_prob") },
            RouterName = "mlp.gate",
            Intermediate = config.Size("intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = CommonFields.GateUpDown,
        };
        return config.Decoder(1e-5, Rope.Read(config, headDim), attention, config.AllExperts(moe));
    }
}
