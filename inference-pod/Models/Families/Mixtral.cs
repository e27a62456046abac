namespace Moebius.Inference.Models.Families;

/// <summary>Mixtral (arXiv 2401.04088).</summary>
internal static class Mixtral
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_key_value_heads": 8, "num_experts_per_tok": 2, "num_local_experts": 8, "max_position_embeddings": 131072}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        var (experts, topK) = config.ExpertCounts("num_local_experts", "num_experts");
        var headDim = config.HeadDim();
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = CommonFields.DefaultScale(headDim),
            Windows = config.SameWindow(inUse: true),
        };
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.SoftmaxTopK, experts, topK) { Normalize = true },
            RouterName = "block_sparse_moe.gate",
            Intermediate = config.Size("intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = CommonFields.W1W3W2,
        };
        return config.Decoder(1e-5, Rope.Read(config, headDim, defaultTheta: 1e6), attention, config.AllExperts(moe));
    }
}
