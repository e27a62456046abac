using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Models;

/// <summary>The self-evaluation agent's answer, verified and turned into a figure.</summary>
internal sealed record EvaluationScore(int Percent, IReadOnlyList<ElementScore> Elements, IReadOnlyList<string> Contradictions, IReadOnlyList<string> Unrequested, IReadOnlyList<string> Advice);

/// <summary>One element of the intent: whether it is there, and the words of the prompt that show it.</summary>
internal sealed record ElementScore(string Element, bool Present, string? Quote, string? Problem);

/// <summary>The image's score: by a vision-language model, which says what is wrong, or by CLIP.</summary>
/// <param name="Percent">The figure.</param>
/// <param name="Missing">Elements that are not visible.</param>
/// <param name="Contradictions">What contradicts the request.</param>
/// <param name="Defects">Visible faults.</param>
/// <param name="Similarity">CLIP's cosine of image and text, -1 to 1; absent where another judged.</param>
internal sealed record VisionScore(int Percent, IReadOnlyList<string> Missing, IReadOnlyList<string> Contradictions, IReadOnlyList<string> Defects, double? Similarity = null);

/// <summary>All scores of a round.</summary>
/// <param name="Percent">The figure that decides, 0 to 100.</param>
/// <param name="Text">Checks of the text.</param>
/// <param name="Evaluation">The self-evaluation.</param>
/// <param name="Image">The image's score; absent where there was none.</param>
/// <param name="Issues">What the next round should mend.</param>
internal sealed record Scores(int Percent, TextScore Text, EvaluationScore Evaluation, VisionScore? Image, IReadOnlyList<string> Issues);

/// <summary>Turns answers into figures. The weights are ours (arXiv 2509.12446 states none).</summary>
internal static class Scoring
{
    /// <summary>Most that a draft can get that contradicts the request or shows what was excluded.</summary>
    internal const int FaultyCap = 50;

    /// <summary>Below this figure of CLIP, which names no fault, the next round is told that the image shows little of the request.</summary>
    internal const int LittlePercent = 50;

    /// <summary>Verifies the agent's answer: an element is present only if the words quoted for it stand in the prompt.</summary>
    public static EvaluationScore Verify(Intent intent, PromptDraft draft, EvaluationAnswer answer)
    {
        var prompt = Flat(draft.Prompt);
        var elements = intent.Elements.Select((element, index) => Element(element, answer.Elements.FirstOrDefault(verdict => verdict.Number == index + 1), prompt)).ToList();
        var percent = (100 * elements.Count(element => element.Present) / elements.Count)
            - (25 * answer.Contradictions.Count) - (10 * answer.Unrequested.Count);
        return new(Math.Max(0, percent), elements, answer.Contradictions, answer.Unrequested, answer.Advice);
    }

    public static VisionScore Verify(Intent intent, VisionAnswer answer)
    {
        var missing = intent.Elements.Where((_, index) => answer.Elements.FirstOrDefault(verdict => verdict.Number == index + 1) is not { Visible: true }).ToList();
        var percent = (100 * (intent.Elements.Count - missing.Count) / intent.Elements.Count)
            - (25 * answer.Contradictions.Count) - (5 * answer.Defects.Count);
        return new(Math.Max(0, percent), missing, answer.Contradictions, answer.Defects);
    }

    /// <summary>Text 40 and self-evaluation 60; with an image text 25, self-evaluation 35 and image 40.</summary>
    public static Scores Combine(TextScore text, EvaluationScore evaluation, VisionScore? image)
    {
        var weighted = image is null
            ? (40 * text.Percent) + (60 * evaluation.Percent)
            : (25 * text.Percent) + (35 * evaluation.Percent) + (40 * image.Percent);
        var percent = weighted / 100;
        return new(text.Faulty ? Math.Min(FaultyCap, percent) : percent, text, evaluation, image, Issues(text, evaluation, image));
    }

    private static List<string> Issues(TextScore text, EvaluationScore evaluation, VisionScore? image)
    {
        var issues = text.Checks.SelectMany(check => check.Issues).ToList();
        issues.AddRange(evaluation.Elements.Where(element => !element.Present).Select(element => $"missing: {element.Element}"));
        issues.AddRange(evaluation.Contradictions.Select(item => $"contradiction: {item}"));
        issues.AddRange(evaluation.Unrequested.Select(item => $"not asked for: {item}"));
        issues.AddRange(evaluation.Advice);
        if (image is not null)
        {
            issues.AddRange(image.Missing.Select(item => $"not visible in the image: {item}"));
            issues.AddRange(image.Contradictions.Select(item => $"the image contradicts the request: {item}"));
            issues.AddRange(image.Defects.Select(item => $"fault in the image: {item}"));
            if (image is { Similarity: not null, Percent: < LittlePercent })
                issues.Add("the image shows little of what was asked for: put the subject first, in plain words");
        }

        return [.. issues.Distinct(StringComparer.OrdinalIgnoreCase)];
    }

    private static ElementScore Element(string element, ElementVerdict? verdict, string prompt)
    {
        if (verdict is null)
            return new(element, false, null, "the evaluation says nothing about it");
        if (!verdict.Present)
            return new(element, false, null, "absent");
        var quote = Flat(verdict.Quote);
        return quote.Length > 0 && Stands(quote, prompt)
            ? new(element, true, PromptDraft.OneLine(verdict.Quote), null)
            : new(element, false, PromptDraft.OneLine(verdict.Quote), "the words quoted for it are not in the prompt");
    }

    /// <summary>Whether the words stand in the prompt, as whole ones where the script tells words apart.</summary>
    private static bool Stands(string quote, string prompt)
    {
        for (var at = prompt.IndexOf(quote, StringComparison.Ordinal); at >= 0; at = prompt.IndexOf(quote, at + 1, StringComparison.Ordinal))
        {
            var end = at + quote.Length;
            if ((at == 0 || prompt[at - 1] == ' ' || Words.JoinsWords(quote[0])) && (end == prompt.Length || prompt[end] == ' ' || Words.JoinsWords(quote[^1])))
                return true;
        }

        return false;
    }

    private static string Flat(string text) => string.Join(' ', Words.Split(text));
}
