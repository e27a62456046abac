namespace Moebius.Inference.Models.Families;

/// <summary>Phi-3.5-MoE (arXiv 2404.14219): mean-centred norms, SparseMixer routing.</summary>
internal static class Phimoe
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_key_value_heads": 8, "num_experts_per_tok": 2, "num_local_experts": 16, "max_position_embeddings": 131072}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        var (experts, topK) = config.ExpertCounts("num_local_experts", "num_experts");
        if (topK != 2)
            throw config.Bad("num_experts_per_tok", "2: SparseMixer chooses two experts");
        var headDim = config.HeadDim();
        var bias = config.Flag(false, "attention_bias");
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = CommonFields.DefaultScale(headDim),
            Windows = config.SameWindow(inUse: true),
            InputBias = bias,
            OutputBias = bias,
        };
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.SparseMixer, experts, topK) { Jitter = (float)config.Number(0.01, "router_jitter_noise") },
            RouterName = "block_sparse_moe.gate",
            Intermediate = config.Size("intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = CommonFields.W1W3W2,
        };
        return config.Decoder(1e-5, Rope.Read(config, headDim, defaultTheta: 1e6, phiScales: true), attention, config.AllExperts(moe)) with
        {
            LayerNorm = true,
            HeadBias = config.Flag(false, "lm_head_bias"),
        };
    }
}
