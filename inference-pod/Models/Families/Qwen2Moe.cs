namespace Moebius.Inference.Models.Families;

/// <summary>Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671): a gated shared expert beside the routed ones.</summary>
internal static class Qwen2Moe
{
    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_key_value_heads": 16, "num_experts_per_tok": 4, "num_experts": 60, "max_position_embeddings": 32768, "sliding_window": 4096, "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        var (experts, topK) = config.ExpertCounts("num_experts", "num_local_experts");
        var headDim = config.HeadDim();
        var sliding = config.Flag(false, "use_sliding_window");
        // The reference implementation sets the window to 0 then, and such a layer sees nothing.
        if (!sliding && config.Texts("layer_types")?.Contains("sliding_attention") == true)
            throw config.Bad("layer_types", "full_attention in each layer where use_sliding_window is not true");
        var windowLayers = config.Count(28, "max_window_layers");
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = CommonFields.DefaultScale(headDim),
            Windows = config.WindowByLayerType(layer => sliding && layer % 2 == 0 && layer < windowLayers),
            InputBias = config.Flag(true, "qkv_bias"),
        };
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.SoftmaxTopK, experts, topK) { Normalize = config.Flag(false, "norm_topk_prob") },
            RouterName = "mlp.gate",
            Intermediate = config.Size("moe_intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = CommonFields.GateUpDown,
            Shared = new DenseSpec("mlp.shared_expert", config.Size("shared_expert_intermediate_size"), config.HiddenAct()),
            SharedGateName = "mlp.shared_expert_gate",
        };
        return config.Decoder(1e-6, Rope.Read(config, headDim), attention, config.SparseSteps(moe));
    }
}
