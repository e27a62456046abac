using System.Text.RegularExpressions;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Models;

/// <summary>One check of the text.</summary>
/// <param name="Name">What was checked.</param>
/// <param name="Percent">0 to 100; null where the check cannot say anything.</param>
/// <param name="Weight">Its share, among the checks that say something.</param>
/// <param name="Issues">What is wrong, in words that tell the next round what to mend.</param>
internal sealed record TextCheck(string Name, int? Percent, int Weight, IReadOnlyList<string> Issues);

/// <summary>Result of the checks.</summary>
/// <param name="Percent">Weighted mean, 0 to 100.</param>
/// <param name="Faulty">Whether the draft contradicts the request or shows what was excluded, which no other score makes good.</param>
/// <param name="Checks">Each check.</param>
internal sealed record TextScore(int Percent, bool Faulty, IReadOnlyList<TextCheck> Checks);

/// <summary>
/// Checks of the text alone: deterministic, without a model. Rules, weights and limits are ours (arXiv 2509.12446 states
/// none) and are listed in docs/prompt-optimizer.md.
/// </summary>
internal static partial class TextChecks
{
    internal const int FewestWords = 15;
    internal const int MostWords = 300;

    // Either side of a pair in the request, with only the other side in the draft, is a contradiction.
    private static readonly (string[] One, string[] Other)[] Opposites =
    [
        (["day", "daytime", "noon", "midday"], ["night", "nighttime", "midnight"]),
        (["sunrise", "dawn"], ["sunset", "dusk"]),
        (["indoor", "indoors", "inside"], ["outdoor", "outdoors", "outside"]),
        (["summer"], ["winter"]),
        (["spring", "springtime"], ["autumn", "fall"]),
        (["sunny", "sunlit"], ["rainy", "stormy", "overcast"]),
        (["monochrome", "grayscale", "greyscale"], ["colorful", "colourful", "multicolored", "multicoloured"]),
        (["empty", "deserted"], ["crowded", "bustling"]),
        (["photograph", "photographic", "photorealistic"], ["painting", "watercolor", "watercolour", "cartoon", "drawing", "illustration"]),
        (["close-up", "closeup", "macro"], ["panorama", "panoramic", "aerial"]),
        (["young", "child"], ["old", "elderly", "aged"]),
        (["happy", "joyful", "cheerful"], ["sad", "gloomy", "mournful"]),
    ];

    /// <param name="request">The user's text.</param>
    /// <param name="feedback">What the user said about results since then. A word named there may come or go.</param>
    /// <param name="draft">The draft to check.</param>
    public static TextScore Score(string request, IReadOnlyList<string> feedback, PromptDraft draft)
    {
        var later = string.Join(" \n ", feedback);
        var exclusions = Exclusions(request).Concat(Exclusions(later)).DistinctBy(Words.Stem, StringComparer.Ordinal).ToList();
        TextCheck[] checks =
        [
            Coverage(request, later, exclusions, draft),
            Excluded(exclusions, request, later, draft),
            Contradictions(request, later, draft),
            Length(draft),
            Clean(draft),
        ];
        var said = checks.Where(check => check.Percent is not null).ToList();
        var percent = (int)Math.Round(said.Sum(check => (double)check.Percent!.Value * check.Weight) / said.Sum(check => check.Weight), MidpointRounding.AwayFromZero);
        return new(percent, checks[1].Percent < 100 || checks[2].Percent < 100, checks);
    }

    /// <summary>What the text says must not be there: the word after "no", "without", "avoid", "exclude" and the like.</summary>
    internal static IReadOnlyList<string> Exclusions(string text) =>
        [.. ExclusionPattern().Matches(text.ToLowerInvariant())
            .Select(match => Words.Split(match.Groups["what"].Value).LastOrDefault(word => !Words.IsStopWord(word)))
            .OfType<string>()
            .DistinctBy(Words.Stem, StringComparer.Ordinal)];

    private static TextCheck Coverage(string request, string feedback, List<string> exclusions, PromptDraft draft)
    {
        const int weight = 50;
        var wanted = Wanted(request, feedback, exclusions);
        // A prompt in another language shares no words with its request, and where no spaces part words none are found;
        // nothing follows from that.
        if (wanted.Count == 0 || IsLatin(request) != IsLatin(draft.Prompt) || Words.AreUnspaced(request))
            return new("coverage", null, weight, []);
        var present = Words.Stems(Words.Split(draft.Prompt));
        var missing = wanted.Where(word => !present.Contains(Words.Stem(word))).ToList();
        return new("coverage", 100 * (wanted.Count - missing.Count) / wanted.Count, weight,
            missing.Count == 0 ? [] : [$"the prompt does not mention: {string.Join(", ", missing)}"]);
    }

    /// <summary>The request's words that the prompt must have: not those excluded, nor those the feedback speaks of.</summary>
    private static List<string> Wanted(string request, string feedback, List<string> exclusions)
    {
        var exempt = Words.Stems(exclusions.Concat(Words.Content(feedback)));
        return [.. Words.Content(request).Where(word => !exempt.Contains(Words.Stem(word)))];
    }

    private static TextCheck Excluded(List<string> exclusions, string request, string feedback, PromptDraft draft)
    {
        var issues = new List<string>();
        // "no people" in the prompt itself is a mention that keeps to the request.
        var withoutNegations = ExclusionPattern().Replace(draft.Prompt.ToLowerInvariant(), " ");
        var mentioned = Words.Stems(Words.Split(withoutNegations));
        var shown = exclusions.Where(word => mentioned.Contains(Words.Stem(word))).ToList();
        if (shown.Count > 0)
            issues.Add($"the prompt shows what was excluded: {string.Join(", ", shown)}");
        var wanted = Words.Stems(Wanted(request, feedback, exclusions));
        var denied = draft.Negative
            .Where(item => Words.Content(item) is { Count: > 0 } words && words.All(word => wanted.Contains(Words.Stem(word))))
            .ToList();
        if (denied.Count > 0)
            issues.Add($"the negative prompt excludes what was asked for: {string.Join(", ", denied)}");
        return new("exclusions", issues.Count == 0 ? 100 : 0, 15, issues);
    }

    private static TextCheck Contradictions(string request, string feedback, PromptDraft draft)
    {
        var asked = Words.Split(request).Concat(Words.Split(feedback)).ToHashSet(StringComparer.Ordinal);
        var written = Words.Split(draft.Prompt).ToHashSet(StringComparer.Ordinal);
        var issues = new List<string>();
        foreach (var (one, other) in Opposites)
        {
            Compare(one, other);
            Compare(other, one);
        }

        return new("contradictions", issues.Count == 0 ? 100 : 0, 15, issues);

        void Compare(string[] side, string[] opposite)
        {
            if (side.FirstOrDefault(asked.Contains) is { } wanted
                && !opposite.Any(asked.Contains)
                && !side.Any(written.Contains)
                && opposite.FirstOrDefault(written.Contains) is { } found)
                issues.Add($"the request says '{wanted}' and the prompt says '{found}'");
        }
    }

    private static TextCheck Length(PromptDraft draft)
    {
        if (Words.AreUnspaced(draft.Prompt))
            return new("length", null, 10, []);
        var count = Words.Split(draft.Prompt).Count;
        if (count < FewestWords)
            return new("length", 100 * count / FewestWords, 10, [$"the prompt has {count} words; describe the scene in at least {FewestWords}"]);
        return count > MostWords
            ? new("length", Math.Max(0, 100 - ((count - MostWords) / 3)), 10, [$"the prompt has {count} words; keep it under {MostWords}"])
            : new("length", 100, 10, []);
    }

    private static TextCheck Clean(PromptDraft draft)
    {
        var issues = new List<string>();
        if (TalkPattern().IsMatch(draft.Prompt))
            issues.Add("the prompt talks about itself or to its reader instead of describing an image");
        if (MarkupPattern().IsMatch(draft.Prompt))
            issues.Add("the prompt holds markup, a link or parameters");
        var sentences = draft.Prompt.Split(['.', '!', '?'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Where(sentence => sentence.Length > 12).ToList();
        if (sentences.Count != sentences.Distinct(StringComparer.OrdinalIgnoreCase).Count())
            issues.Add("the prompt says the same sentence twice");
        return new("clean", Math.Max(0, 100 - (50 * issues.Count)), 10, issues);
    }

    private static bool IsLatin(string text)
    {
        var letters = text.Where(char.IsLetter).ToList();
        return letters.Count(letter => letter < 'ɐ') * 2 >= letters.Count;
    }

    [GeneratedRegex(@"\b(?:no|without|avoid|exclude|excluding|free of|not)\s+(?:(?:any|a|an|the|more|visible)\s+)*(?<what>[\p{L}'’]+)", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex ExclusionPattern();

    [GeneratedRegex(@"\bas an ai\b|\bhere is\b|\bhere's (?:a|the|your)\b|\byour request\b|\bthe user\b|\bthis prompt\b|\bi (?:cannot|can't|will|have)\b", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase | RegexOptions.NonBacktracking)]
    private static partial Regex TalkPattern();

    [GeneratedRegex(@"```|https?://|<\s*/?\s*[a-z][^>]*>|(?:^|\s)--[a-z]|::|\*\*", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase | RegexOptions.NonBacktracking)]
    private static partial Regex MarkupPattern();
}
