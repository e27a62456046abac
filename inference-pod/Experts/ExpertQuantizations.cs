using Moebius.Crds;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Inference.Experts;

/// <summary>The values of <c>--quantize</c>.</summary>
internal static class ExpertQuantizations
{
    /// <exception cref="UserInputException">The value is not one of them.</exception>
    public static ExpertQuantization Parse(string value) => value switch
    {
        "none" => ExpertQuantization.None,
        "int8" => ExpertQuantization.Int8,
        "int4" => ExpertQuantization.Int4,
        _ => throw new UserInputException($"--quantize is \"{value}\"; it must be none, int8 or int4"),
    };

    /// <summary>As <c>--quantize</c> names it.</summary>
    public static string Name(this ExpertQuantization quantization) => quantization switch
    {
        ExpertQuantization.Int8 => "int8",
        ExpertQuantization.Int4 => "int4",
        _ => "none",
    };
}
