using System.Text.RegularExpressions;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Dialects;

/// <summary>
/// FLUX: one flowing description. It has neither weights nor a negative prompt (the guidance is distilled in), so
/// weights are taken off and what must not appear is not named at all: naming it would draw it. T5 reads 512 tokens;
/// whole sentences are left out from the end until the rest fits.
/// </summary>
internal static partial class Flux
{
    internal const int MaxTokens = 512;

    public static string Write(PromptDraft draft) =>
        Sentences.Cut(PromptDraft.OneLine(Weights().Replace(draft.Prompt, "$1")), text => Sentences.EstimateTokens(text) <= MaxTokens);

    [GeneratedRegex(@"\(([^():]*):\s*[0-9]+(?:\.[0-9]+)?\)", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Weights();
}
