using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models.Families;

/// <summary>gpt-oss (arXiv 2508.10925): attention sinks, alternating windows, clamped SwiGLU experts with biases.</summary>
internal static class GptOss
{
    private static byte[] DefaultRope =>
        """{"rope_type": "yarn", "factor": 32, "beta_fast": 32, "beta_slow": 1, "truncate": false, "original_max_position_embeddings": 4096}"""u8.ToArray();

    /// <summary>What the reference implementation takes for a field that is absent.</summary>
    private static ReadOnlySpan<byte> Defaults =>
        """{"num_key_value_heads": 8, "num_experts_per_tok": 4, "num_local_experts": 128, "head_dim": 64, "max_position_embeddings": 131072, "sliding_window": 128}"""u8;

    public static DecoderSpec Describe(ModelConfig config)
    {
        config = config.WithDefaults(Defaults);
        if (config.NumberOrNull("swiglu_limit") is not (null or 7))
            throw config.Bad("swiglu_limit", "7");
        var (experts, topK) = config.ExpertCounts("num_local_experts", "num_experts");
        var headDim = config.HeadDim();
        var bias = config.Flag(true, "attention_bias");
        var attention = new GroupedAttentionSpec
        {
            Heads = config.Heads(),
            KvHeads = config.KvHeads(),
            HeadDim = headDim,
            Scale = CommonFields.DefaultScale(headDim),
            Windows = config.WindowByLayerType(layer => layer % 2 == 0),
            InputBias = bias,
            OutputBias = bias,
            Sinks = true,
        };
        var moe = new MoeSpec
        {
            Router = new RouterSpec(RouterKind.TopKSoftmax, experts, topK),
            RouterName = "mlp.router",
            RouterBias = true,
            Intermediate = config.Size("intermediate_size"),
            Activation = Activation.ClampedSwiglu,
            Naming = StoredQuantization.IsMxfp4(config) ? new Mxfp4Experts("mlp.experts") : new InterleavedExperts("mlp.experts"),
        };
        return config.Decoder(1e-5, Rope.Read(config, headDim, defaultTheta: 150_000, defaults: DefaultRope), attention, config.AllExperts(moe));
    }
}
