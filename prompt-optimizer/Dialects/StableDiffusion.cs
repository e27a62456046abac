using System.Text;
using System.Text.RegularExpressions;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Dialects;

/// <summary>
/// Stable Diffusion: comma-separated tags, the subject weighted as <c>(subject:1.2)</c>, and a negative prompt of its own.
/// CLIP reads 77 tokens of which two are its own, so tags are left out from the end until the rest fits into 75.
/// Brackets are escaped, and the words and signs that common front ends act on (AND, BREAK, &lt;lora:...&gt;) are defused.
/// </summary>
internal static partial class StableDiffusion
{
    internal const int MaxTokens = 75;

    /// <param name="draft">The draft.</param>
    /// <param name="kept">Words of the prompt that show what was asked for; tags come right after the subject, so that none is lost.</param>
    public static string Write(PromptDraft draft, IReadOnlyList<string> kept)
    {
        var subject = Tag(draft.Subject);
        // The weight's own signs cost tokens in front ends that show them to CLIP.
        var first = subject.Length == 0 ? "" : Sentences.Cut(subject, text => Sentences.EstimateTokens($"({text}:1.2)") <= MaxTokens);
        var tags = new List<string>();
        if (first.Length > 0)
            tags.Add($"({first}:1.2)");
        Append(tags, kept.Where(words => !draft.Subject.Contains(words, StringComparison.OrdinalIgnoreCase)));
        Append(tags, [draft.Setting, draft.Composition, draft.Lighting, draft.Palette, draft.Medium, draft.Mood]);
        // A draft whose parts are empty still says everything in its description.
        if (tags.Count <= 1)
            Append(tags, draft.Prompt.Split(['.', ','], StringSplitOptions.RemoveEmptyEntries));
        return string.Join(", ", tags);
    }

    /// <summary>The negative prompt, within the same limit.</summary>
    public static string Negative(PromptDraft draft)
    {
        var tags = new List<string>();
        Append(tags, draft.Negative);
        return string.Join(", ", tags);
    }

    private static void Append(List<string> tags, IEnumerable<string> parts)
    {
        foreach (var tag in parts.SelectMany(part => part.Split([',', ';'])).Select(Tag))
        {
            if (tag.Length == 0 || tags.Contains(tag, StringComparer.OrdinalIgnoreCase))
                continue;
            if (Sentences.EstimateTokens(string.Join(", ", tags.Append(tag))) > MaxTokens)
                break;
            tags.Add(tag);
        }
    }

    private static string Tag(string text)
    {
        var result = new StringBuilder(text.Length);
        // Signs that are dropped may part a keyword.
        foreach (var character in Keywords().Replace(Dropped().Replace(text, ""), match => match.Value.ToLowerInvariant()))
        {
            switch (character)
            {
                case '(' or ')' or '[' or ']':
                    result.Append('\\').Append(character);
                    break;
                case ':' or ',' or ';':
                    result.Append(' ');
                    break;
                default:
                    result.Append(character);
                    break;
            }
        }

        return PromptDraft.OneLine(result.ToString()).Trim(' ', '.');
    }

    [GeneratedRegex(@"\b(AND|BREAK|ADDCOMM|ADDBASE|ADDCOL|ADDROW)\b", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Keywords();

    /// <summary>Means something to one front end or another, and nothing to a reader.</summary>
    [GeneratedRegex(@"[<>\\|{}]", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex Dropped();
}
