using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Tests.Models;

/// <summary>The figures of docs/prompt-optimizer.md: what each fault costs, and what each judge weighs.</summary>
public sealed class ScoringTests
{
    private static readonly Intent Intent = new("", "lion", ["a lion", "an acacia", "evening", "dust"], [], [], "", "");

    private static readonly PromptDraft Draft = TextChecksTests.Draft("A lion rests under an acacia in the evening dust.");

    [Theory]
    [InlineData(0, 0, 100)]
    [InlineData(1, 0, 75)]
    [InlineData(0, 1, 90)]
    [InlineData(2, 1, 40)]
    [InlineData(4, 1, 0)]
    public void Contradictions_and_what_nobody_asked_for_take_from_the_evaluation(int contradictions, int unrequested, int percent) =>
        Assert.Equal(percent, Scoring.Verify(Intent, Draft, new(Quoted("a lion", "an acacia", "evening", "dust"), Some(contradictions), Some(unrequested), [])).Percent);

    [Fact]
    public void An_element_counts_only_with_words_that_stand_in_the_prompt()
    {
        var score = Scoring.Verify(Intent, Draft, new(Quoted("a lion", "an oak", "even", ""), [], [], []));
        Assert.Equal(25, score.Percent);
        Assert.Equal([true, false, false, false], score.Elements.Select(element => element.Present));
    }

    [Theory]
    [InlineData(4, 0, 0, 100)]
    [InlineData(3, 0, 0, 75)]
    [InlineData(4, 1, 0, 75)]
    [InlineData(4, 0, 1, 95)]
    [InlineData(2, 1, 6, 0)]
    public void Contradictions_and_faults_take_from_the_image(int visible, int contradictions, int defects, int percent) =>
        Assert.Equal(percent, Scoring.Verify(Intent, new([.. Enumerable.Range(1, 4).Select(number => new VisibleVerdict(number, number <= visible))], Some(contradictions), Some(defects))).Percent);

    [Theory]
    [InlineData(100, 0, null, false, 40)]
    [InlineData(0, 100, null, false, 60)]
    [InlineData(100, 0, 0, false, 25)]
    [InlineData(0, 100, 0, false, 35)]
    [InlineData(0, 0, 100, false, 40)]
    [InlineData(100, 100, 100, true, 50)]
    [InlineData(50, 40, null, true, 44)]
    public void Judges_are_weighed_and_a_faulty_draft_gets_half_at_most(int text, int evaluation, int? image, bool faulty, int percent) =>
        Assert.Equal(percent, Scoring.Combine(new(text, faulty, []), new(evaluation, [], [], [], []), image is { } seen ? new(seen, [], [], []) : null).Percent);

    private static List<ElementVerdict> Quoted(params string[] quotes) => [.. quotes.Select((quote, index) => new ElementVerdict(index + 1, true, quote))];

    private static List<string> Some(int count) => [.. Enumerable.Range(0, count).Select(number => $"fault {number}")];
}
