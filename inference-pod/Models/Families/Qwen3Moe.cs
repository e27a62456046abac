namespace Moebius.Inference.Models.Families;

/// <summary>Qwen3-MoE (arXiv 2505.09388).</summary>
internal static class Qwen3Moe
{
    public static DecoderSpec Describe(ModelConfig config)
    {
        config.Refuse("mlp_bias", "clip_qkv", "n_shared_experts", "shared_expert_intermediate_size");
        var (experts, topK) = config.ExpertCounts("num_local_experts", "num_experts");
        int headDim = config.HeadDim();
        bool bias = config.Flag(false, "attention_bias");
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
