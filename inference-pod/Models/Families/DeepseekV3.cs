namespace Moebius.Inference.Models.Families;

/// <summary>DeepSeek-V3 (arXiv 2412.19437): latent attention, sigmoid routing limited to groups, shared experts.</summary>
internal static class DeepseekV3
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"n_routed_experts": 256, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "max_position_embeddings": 4096, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "moe_intermediate_size": 2048}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        var rope = Rope.Read(config, config.Size("qk_rope_head_dim"), interleaved: config.Flag(true, "rope_interleave"));
        var attention = config.LatentAttention(softmaxScale: rope.SoftmaxScale);
        var moe = config.SigmoidExperts(defaultScale: 2.5);
        return config.Decoder(1e-6, rope, attention, config.DenseThenExperts(config.Count(3, "first_k_dense_replace"), moe), predictionLayers: 1);
    }
}
