using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models.Families;

/// <summary>What the families' configurations have in common.</summary>
internal static class CommonFields
{
    public static readonly SeparateExperts GateUpDown = new("mlp.experts", "gate_proj", "up_proj", "down_proj");

    public static readonly SeparateExperts W1W3W2 = new("block_sparse_moe.experts", "w1", "w3", "w2");

    public static int Layers(this ModelConfig config) => config.AtMost(ModelLimits.Layers, "num_hidden_layers");

    public static int Heads(this ModelConfig config) => config.AtMost(ModelLimits.Heads, "num_attention_heads");

    /// <summary>Key-value heads: as many as query heads where the configuration does not say.</summary>
    public static int KvHeads(this ModelConfig config)
    {
        int heads = config.Heads(), kv = config.Size(heads, "num_key_value_heads");
        return heads % kv == 0 ? kv : throw config.Bad("num_key_value_heads", $"a divisor of num_attention_heads, {heads}");
    }

    public static int HeadDim(this ModelConfig config)
    {
        if (config.IntOrNull("head_dim") is not null)
            return config.Size("head_dim");
        int hidden = config.Size("hidden_size"), heads = config.Heads();
        return hidden % heads == 0 ? hidden / heads : throw config.Bad("hidden_size", $"a multiple of num_attention_heads, {heads}, where head_dim is absent");
    }

    public static Activation HiddenAct(this ModelConfig config) => Activations.Parse(config.File, config.Text("hidden_act") ?? "silu");

    public static (int Experts, int TopK) ExpertCounts(this ModelConfig config, params ReadOnlySpan<string> names)
    {
        int experts = config.AtMost(ModelLimits.Experts, names), topK = config.Size("num_experts_per_tok");
        return topK <= experts ? (experts, topK) : throw config.Bad("num_experts_per_tok", $"at most the number of experts, {experts}");
    }

    /// <summary>The same window in every layer, or none; the width of one that is off may stay.</summary>
    public static int?[] SameWindow(this ModelConfig config, bool inUse)
    {
        config.MayHave("sliding_window");
        int? window = inUse && config.IntOrNull("sliding_window") is not null ? config.Size("sliding_window") : null;
        return [.. Enumerable.Repeat(window, config.Layers())];
    }

    public static int?[] NoWindow(this ModelConfig config) => new int?[config.Layers()];

    /// <summary>A window in the layers whose type is sliding_attention; its width may stay where there are none.</summary>
    public static int?[] WindowByLayerType(this ModelConfig config, Func<int, bool> defaultIsSliding)
    {
        config.MayHave("sliding_window");
        var layers = config.Layers();
        var types = config.Texts("layer_types");
        if (types is not null && (types.Count != layers || types.Any(t => t is not ("sliding_attention" or "full_attention"))))
            throw config.Bad("layer_types", $"a list of {layers}, each full_attention or sliding_attention");
        var windows = new int?[layers];
        for (var i = 0; i < layers; i++)
        {
            if (types is null ? defaultIsSliding(i) : types[i] == "sliding_attention")
                windows[i] = config.Size("sliding_window");
        }
        return windows;
    }

    /// <summary>Refuses any other value than the only one that the family knows, where one is given.</summary>
    public static void Only(this ModelConfig config, string name, string value)
    {
        if (config.Text(name) is not null && config.Text(name) != value)
            throw config.Bad(name, value);
    }

    /// <inheritdoc cref="Only(ModelConfig, string, string)"/>
    public static void On(this ModelConfig config, string name)
    {
        if (!config.Flag(true, name))
            throw config.Bad(name, "true");
    }

    /// <summary>Experts in every layer.</summary>
    public static IReadOnlyList<FeedForwardSpec> AllExperts(this ModelConfig config, MoeSpec moe) =>
        [.. Enumerable.Repeat(moe, config.Layers())];

    /// <summary>DeepSeek's choice: dense in the first layers, experts in the others.</summary>
    public static IReadOnlyList<FeedForwardSpec> DenseThenExperts(this ModelConfig config, int firstDense, MoeSpec moe, bool bias = false)
    {
        if (config.Int(1, "moe_layer_freq") != 1)
            throw config.Bad("moe_layer_freq", "1");
        var layers = config.Layers();
        var dense = firstDense > 0 ? config.DenseLayer(bias) : null;
        return [.. Enumerable.Range(0, layers).Select(i => i < firstDense ? dense! : (FeedForwardSpec)moe)];
    }

    /// <summary>Qwen's choice: not in <c>mlp_only_layers</c> and every <c>decoder_sparse_step</c>-th layer.</summary>
    public static IReadOnlyList<FeedForwardSpec> SparseSteps(this ModelConfig config, MoeSpec moe)
    {
        int step = config.Size(1, "decoder_sparse_step"), layers = config.Layers();
        var dense = config.Integers("mlp_only_layers");
        return [.. Enumerable.Range(0, layers).Select(i => !dense.Contains(i) && (i + 1) % step == 0 ? moe : (FeedForwardSpec)config.DenseLayer())];
    }

    private static DenseSpec DenseLayer(this ModelConfig config, bool bias = false) =>
        new("mlp", config.Size("intermediate_size"), config.HiddenAct(), bias);

    /// <summary>Shared experts side by side are one wide feed-forward.</summary>
    public static DenseSpec? SharedExperts(this ModelConfig config, int defaultCount, bool bias = false)
    {
        var count = config.Count(defaultCount, "n_shared_experts");
        return count > 0 ? new DenseSpec("mlp.shared_experts", SizeProducts.Check(config, "n_shared_experts x moe_intermediate_size", count, config.Size("moe_intermediate_size")), config.HiddenAct(), bias) : null;
    }

    public static LatentAttentionSpec LatentAttention(this ModelConfig config, double softmaxScale)
    {
        int heads = config.Heads(), nope = config.Size("qk_nope_head_dim"), rope = config.Size("qk_rope_head_dim");
        if (config.Size(heads, "num_key_value_heads") != heads)
            throw config.Bad("num_key_value_heads", $"num_attention_heads, {heads}: latent attention shares keys in another way");
        return new LatentAttentionSpec
        {
            Heads = heads,
            QueryRank = config.IntOrNull("q_lora_rank") is null ? null : config.Size("q_lora_rank"),
            KvRank = config.Size("kv_lora_rank"),
            NopeDim = nope,
            RopeDim = rope,
            ValueDim = config.Size("v_head_dim"),
            Bias = config.Flag(false, "attention_bias"),
            Scale = (float)(Math.Pow(nope + rope, -0.5) * softmaxScale),
            Windows = config.NoWindow(),
        };
    }

    /// <summary>Groups that divide the experts; at least two per group where the best two are added.</summary>
    public static (int Groups, int TopGroups) ExpertGroups(this ModelConfig config, int experts, int topK)
    {
        int groups = config.Size(1, "n_group"), top = config.Size(1, "topk_group");
        if (experts % groups != 0)
            throw config.Bad("n_group", $"a divisor of the number of experts, {experts}");
        if (top > groups)
            throw config.Bad("topk_group", $"at most n_group, {groups}");
        if (topK > experts / groups * top)
            throw config.Bad("topk_group", $"enough groups for num_experts_per_tok, {topK}: each has {experts / groups} experts");
        return (groups, top);
    }

    /// <summary>Experts behind sigmoid gates with a correction bias, chosen within groups, beside shared ones (DeepSeek-V3, section 2.1.2).</summary>
    public static MoeSpec SigmoidExperts(this ModelConfig config, double defaultScale)
    {
        config.Only("scoring_func", "sigmoid");
        config.Only("topk_method", "noaux_tc");
        var (experts, topK) = config.ExpertCounts("n_routed_experts", "num_local_experts", "num_experts");
        var (groups, topGroups) = config.ExpertGroups(experts, topK);
        return new MoeSpec
        {
            Router = new RouterSpec(RouterKind.SigmoidGroups, experts, topK)
            {
                Normalize = config.Flag(true, "norm_topk_prob"),
                Scale = (float)config.Number(defaultScale, "routed_scaling_factor"),
                Groups = groups,
                TopGroups = topGroups,
            },
            RouterName = "mlp.gate",
            CorrectionName = "mlp.gate.e_score_correction_bias",
            Intermediate = config.Size("moe_intermediate_size"),
            Activation = config.HiddenAct(),
            Naming = GateUpDown,
            Shared = config.SharedExperts(defaultCount: 1),
        };
    }

    /// <summary>The part of a description that every family reads the same way.</summary>
    public static DecoderSpec Decoder(this ModelConfig config, double defaultEpsilon, Rope rope, AttentionSpec attention, IReadOnlyList<FeedForwardSpec> feedForward, int predictionLayers = 0) => new()
    {
        Architecture = config.Text("model_type")!,
        Vocabulary = config.Size("vocab_size"),
        Hidden = config.Size("hidden_size"),
        Layers = config.Layers(),
        PredictionLayers = config.Count(predictionLayers, "num_nextn_predict_layers"),
        Context = rope.Context,
        NormEpsilon = config.Number(defaultEpsilon, "rms_norm_eps") is >= 0 and <= float.MaxValue and var epsilon ? (float)epsilon : throw config.Bad("rms_norm_eps", "a number from 0, as large as 32 bits hold"),
        TiedEmbeddings = config.Flag(false, "tie_word_embeddings"),
        Rope = rope,
        Attention = attention,
        FeedForward = feedForward,
    };

    public static float DefaultScale(int headDim) => (float)Math.Pow(headDim, -0.5);
}
