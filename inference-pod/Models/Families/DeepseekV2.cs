namespace Moebius.Inference.Models.Families;

/// <summary>
/// DeepSeek-V2 (arXiv 2405.04434): latent attention, softmax routing, shared experts. Two fields do what they do in the
/// reference implementation that checkpoints are verified against: <c>norm_topk_prob</c>, false in every published
/// checkpoint, is not applied, and YaRN's <c>mscale_all_dim</c> scales the rotary part but not the softmax.
/// </summary>
internal static class DeepseekV2
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"n_routed_experts": 64, "max_position_embeddings": 2048, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "moe_intermediate_size": 1407}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        config.Only("scoring_func", "softmax");
        config.On("rope_interleave");
        // The groups of another method than the one in use may stay.
        config.MayHave("n_group", "topk_group");
        var method = config.Text("topk_method") ?? "greedy";
        if (method is not ("greedy" or "group_limited_greedy"))
            throw config.Bad("topk_method", "greedy or group_limited_greedy");
        var (experts, topK) = config.ExpertCounts("n_routed_experts", "num_local_experts", "num_experts");
        var (groups, topGroups) = method == "greedy" ? (1, 1) : config.ExpertGroups(experts, topK);
        var rope = Rope.Read(config, config.Size("qk_rope_head_dim"), interleaved: true);
        var bias = config.Flag(false, "mlp_bias");
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.SoftmaxTopK, experts, topK)
            {
                Scale = (float)config.Number(1, "routed_scaling_factor"),
                Groups = groups,
                TopGroups = topGroups,
            },
            RouterName = "mlp.gate",
            Intermediate = config.Size("moe_intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = CommonFields.GateUpDown,
            Shared = config.SharedExperts(defaultCount: 2, bias),
        };
        return config.Decoder(1e-6, rope, config.LatentAttention(softmaxScale: 1), config.DenseThenExperts(config.Count(0, "first_k_dense_replace"), moe, bias));
    }
}
