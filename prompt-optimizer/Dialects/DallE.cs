using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Dialects;

/// <summary>
/// DALL-E: full sentences. It has no negative prompt; what must not appear is said in a last sentence. The images API
/// takes 4000 characters for dall-e-3; whole sentences of the description are left out until both fit.
/// </summary>
internal static class DallE
{
    internal const int MaxCharacters = 4000;

    public static string Write(PromptDraft draft)
    {
        var ending = "";
        if (draft.Negative.Count > 0)
        {
            var items = Sentences.Cut(string.Join(", ", draft.Negative.Select(item => item.TrimEnd('.', ','))), text => text.Length <= MaxCharacters / 2);
            ending = $" The image shows none of the following: {items}.";
        }

        var prompt = draft.Prompt.TrimEnd();
        if (prompt.Length > 0 && prompt[^1] is not ('.' or '!' or '?'))
            prompt += ".";
        return Sentences.Cut(prompt, text => text.Length + ending.Length <= MaxCharacters) + ending;
    }
}
