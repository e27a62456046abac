using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Dialects;

/// <summary>Writes a draft in the dialects of image models: pure functions of the draft, without a model call.</summary>
internal static class Dialect
{
    public static IReadOnlyList<PromptDialect> All { get; } = Enum.GetValues<PromptDialect>();

    /// <param name="dialect">The dialect.</param>
    /// <param name="draft">The draft.</param>
    /// <param name="kept">Words of its prompt that show what was asked for, as the self-evaluation quoted and verified them.</param>
    public static string Write(PromptDialect dialect, PromptDraft draft, IReadOnlyList<string> kept) => dialect switch
    {
        PromptDialect.StableDiffusion => StableDiffusion.Write(draft, kept),
        PromptDialect.Flux => Flux.Write(draft),
        PromptDialect.Midjourney => Midjourney.Write(draft),
        PromptDialect.DallE => DallE.Write(draft),
        _ => throw new ArgumentOutOfRangeException(nameof(dialect), dialect, "unknown dialect"),
    };

    public static Dictionary<string, string> WriteAll(IEnumerable<PromptDialect> dialects, PromptDraft draft, IReadOnlyList<string> kept) =>
        dialects.Distinct().Order().ToDictionary(dialect => dialect.ToString(), dialect => Write(dialect, draft, kept));
}
