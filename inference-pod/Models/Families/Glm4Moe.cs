namespace Moebius.Inference.Models.Families;

/// <summary>GLM-4.5 (arXiv 2508.06471): partial rotary positions, sigmoid routing with a correction bias, shared experts.</summary>
internal static class Glm4Moe
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_key_value_heads": 8, "num_experts_per_tok": 8, "n_routed_experts": 128, "max_position_embeddings": 131072, "moe_intermediate_size": 1408}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        var headDim = config.HeadDim();
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = CommonFields.DefaultScale(headDim),
            Windows = config.NoWindow(),
            InputBias = config.Flag(false, "attention_bias"),
            Norm = config.Flag(false, "use_qk_norm") ? QueryKeyNorm.Head : QueryKeyNorm.None,
        };
        var moe = config.SigmoidExperts(defaultScale: 1);
        return config.Decoder(1e-5, Rope.Read(config, headDim, partialFactor: 0.5), attention, config.DenseThenExperts(config.Count(1, "first_k_dense_replace"), moe), predictionLayers: 1);
    }
}
