using Moebius.Inference.Models.Families;

namespace Moebius.Inference.Models;

/// <summary>The supported families, by the <c>model_type</c> of their configuration.</summary>
internal static class Architectures
{
    private static readonly SortedDictionary<string, Func<ModelConfig, DecoderSpec>> Families = new(StringComparer.Ordinal)
    {
        ["deepseek_v2"] = DeepseekV2.Describe,
        ["deepseek_v3"] = DeepseekV3.Describe,
        ["glm4_moe"] = Glm4Moe.Describe,
        ["gpt_oss"] = GptOss.Describe,
        ["granitemoe"] = GraniteMoe.Describe,
        ["mixtral"] = Mixtral.Describe,
        ["olmoe"] = Olmoe.Describe,
        ["phimoe"] = Phimoe.Describe,
        ["qwen2_moe"] = Qwen2Moe.Describe,
        ["qwen3_moe"] = Qwen3Moe.Describe,
    };

    public static IReadOnlyCollection<string> Names => Families.Keys;

    public static DecoderSpec Describe(ModelConfig config)
    {
        var type = config.Text("model_type");
        if (type is null || !Families.TryGetValue(type, out var describe))
            throw config.Bad("model_type", string.Join(", ", Names));
        var fp8 = StoredQuantization.Read(config);
        var spec = describe(config) with { Fp8 = fp8 };
        SizeProducts.Check(config, spec);
        UnreadSwitches.Refuse(config);
        return spec;
    }
}
