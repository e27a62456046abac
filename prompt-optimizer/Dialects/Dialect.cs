using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Dialects;

/// <summary>Writes a draft in the dialects of image models: pure functions of the draft, without a model call.</summary>
internal static class Dialect
{
    public static IReadOnlyList<PromptDialect> All { get; } = Enum.GetValues<PromptDialect>();

    public static string Write(PromptDialect dialect, PromptDraft draft) => dialect switch
    {
        PromptDialect.StableDiffusion => StableDiffusion.Write(draft),
        PromptDialect.Flux => Flux.Write(draft),
        PromptDialect.Midjourney => Midjourney.Write(draft),
        PromptDialect.DallE => DallE.Write(draft),
        _ => throw new ArgumentOutOfRangeException(nameof(dialect), dialect, "unknown dialect"),
    };

    public static Dictionary<string, string> WriteAll(IEnumerable<PromptDialect> dialects, PromptDraft draft) =>
        dialects.Distinct().Order().ToDictionary(dialect => dialect.ToString(), dialect => Write(dialect, draft));
}
