using System.Text.RegularExpressions;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Dialects;

/// <summary>
/// Midjourney: a description, then parameters: <c>--no</c> for the negative prompt and <c>--ar</c> for the aspect ratio.
/// In the description everything that Midjourney would act on is defused: parameters (<c>--</c> and the dashes that
/// keyboards make of it), multi-prompts (<c>::</c>), permutations (<c>{a, b}</c>) and image links. A message may hold
/// 2000 characters with the command; 1800 are used.
/// </summary>
internal static partial class Midjourney
{
    internal const int MaxCharacters = 1800;

    public static string Write(PromptDraft draft)
    {
        var parameters = $" --ar {draft.AspectRatio}";
        var negative = new List<string>();
        foreach (var item in draft.Negative.Select(item => Defuse(item.Replace(',', ' '))).Where(item => item.Length > 0))
        {
            // Half of the room at most: the description matters more.
            if (string.Join(", ", negative.Append(item)).Length > MaxCharacters / 2)
                break;
            negative.Add(item);
        }

        if (negative.Count > 0)
            parameters = $" --no {string.Join(", ", negative)}{parameters}";
        return Sentences.Cut(Defuse(draft.Prompt), text => text.Length + parameters.Length <= MaxCharacters) + parameters;
    }

    private static string Defuse(string text)
    {
        // First: what they part would come together behind the other rules' back.
        text = Parting().Replace(PromptDraft.OneLine(text), "");
        text = Links().Replace(text, " ");
        text = Dashes().Replace(text, " - ");
        text = Colons().Replace(text, ":");
        return PromptDraft.OneLine(text).TrimStart('/', ' ', '-');
    }

    [GeneratedRegex(@"[{}\u200c\u200d]", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Parting();

    [GeneratedRegex(@"\S*://\S*", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Links();

    [GeneratedRegex(@"-{2,}|[\u2012-\u2015]+", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Dashes();

    [GeneratedRegex(":{2,}", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Colons();
}
