using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Models;

/// <summary>
/// What <c>quantization_config</c> says of weights that are stored in fewer than 16 bits. Which of them are, the tensors
/// say themselves, so that <c>modules_to_not_convert</c> has nothing to add.
/// </summary>
internal static class StoredQuantization
{
    private const string Field = "quantization_config";
    private const string Mxfp4 = "mxfp4";
    private const string Fp8 = "fp8";

    private const string Plain = "a checkpoint in fp32, fp16 or bf16 without quantization_config";

    /// <summary>Checks the field, and returns which weights in fp8 share a scale; null where there are none.</summary>
    /// <param name="config">The configuration.</param>
    /// <exception cref="Crds.UserInputException">It asks for what cannot be read.</exception>
    public static Fp8Blocks? Read(ModelConfig config)
    {
        // compressed-tensors wrote this name before the other.
        if (config.Has("compression_config"))
            throw config.Bad("compression_config", Plain);
        if (config.Object(Field) is not { } given)
            return null;
        string method = given.Text("quant_method") ?? "", supported = Supported(config.Text("model_type")!);
        if (method != supported)
            throw given.Bad("quant_method", (supported.Length > 0 ? $"{supported}, or " : "") + Plain);
        return method == Fp8 ? Blocks(config, given) : null;
    }

    /// <summary>Whether experts are stored in mxfp4.</summary>
    public static bool IsMxfp4(ModelConfig config) => config.Object(Field)?.Text("quant_method") == Mxfp4;

    /// <summary>gpt_oss and granitemoe have all experts of a layer in one tensor, for which fp8 has no published form.</summary>
    private static string Supported(string family) => family switch
    {
        "gpt_oss" => Mxfp4,
        "granitemoe" => "",
        _ => Fp8,
    };

    private static Fp8Blocks Blocks(ModelConfig config, ModelConfig given)
    {
        if (given.Text("fmt") is not (null or "e4m3"))
            throw given.Bad("fmt", "e4m3");
        if (given.Text("activation_scheme") is not (null or "dynamic"))
            throw given.Bad("activation_scheme", "dynamic: activations are not quantised here, and a scale that is stored for them has no place");
        // With ue8m0 the scales are powers of two, stored like others.
        if (given.Text("scale_fmt") is not (null or "float" or "ue8m0"))
            throw given.Bad("scale_fmt", "float or ue8m0");
        foreach (var name in new[] { "dtype", "torch_dtype" })
        {
            if (config.Text(name) is not (null or "bfloat16"))
                throw config.Bad(name, "bfloat16 beside weights in fp8: their products with the scales are rounded to it");
        }
        return given.Has("weight_block_size") && given.Integers("weight_block_size") is [>= 1 and <= ModelLimits.Size and var rows, >= 1 and <= ModelLimits.Size and var columns]
            ? new Fp8Blocks(rows, columns)
            : throw given.Bad("weight_block_size", $"[rows, columns] of the weights that share a scale, as [128, 128]; one scale for a tensor or a channel is not supported: take {Plain}");
    }
}
