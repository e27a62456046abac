namespace Moebius.Inference.Models.Families;

/// <summary>
/// Refuses what a configuration asks for and its family has never looked at. Unknown names mean nothing and stay; the
/// switches that some family has, here or elsewhere, change what a model computes, and must have been read or be at the
/// value that changes nothing.
/// </summary>
internal static class UnreadSwitches
{
    private static readonly string[] Switches =
    [
        "attention_bias", "mlp_bias", "qkv_bias", "lm_head_bias", "use_qk_norm", "use_sliding_window", "rope_interleave",
        "sliding_window", "layer_types", "clip_qkv", "attention_multiplier", "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping", "dual_chunk_attention_config",
        "embedding_multiplier", "residual_multiplier", "logits_scaling",
        "hidden_act", "swiglu_limit", "scoring_func", "topk_method", "routed_scaling_factor", "n_group", "topk_group",
        "n_shared_experts", "num_shared_experts", "shared_expert_intermediate_size", "shared_intermediate_size",
        "first_k_dense_replace", "moe_layer_freq", "decoder_sparse_step", "mlp_only_layers",
    ];

    /// <exception cref="Crds.UserInputException">One of them is set and was not read; names it.</exception>
    public static void Refuse(ModelConfig config)
    {
        foreach (var name in Switches.Where(name => !config.WasRead(name) && config.Has(name)))
        {
            if (!ChangesNothing(config, name))
                throw config.Bad(name, $"its absence: {config.Text("model_type")} has no such switch");
        }
    }

    private static bool ChangesNothing(ModelConfig config, string name) => name switch
    {
        "attention_bias" or "mlp_bias" or "qkv_bias" or "lm_head_bias" or "use_qk_norm" or "use_sliding_window" or "rope_interleave" => !config.Flag(false, name),
        "embedding_multiplier" or "residual_multiplier" or "logits_scaling" or "routed_scaling_factor" or "n_group" or "topk_group" or "moe_layer_freq" or "decoder_sparse_step" => config.NumberOrNull(name) == 1,
        "sliding_window" or "n_shared_experts" or "num_shared_experts" or "shared_expert_intermediate_size" or "shared_intermediate_size" or "first_k_dense_replace" => config.NumberOrNull(name) == 0,
        "mlp_only_layers" => config.Integers(name).Count == 0,
        "layer_types" => config.Texts(name)!.All(type => type == "full_attention"),
        "hidden_act" => config.Text(name) == "silu",
        "scoring_func" => config.Text(name) == "softmax",
        "topk_method" => config.Text(name) == "greedy",
        _ => false,
    };
}
