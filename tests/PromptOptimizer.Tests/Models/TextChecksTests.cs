using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Tests.Models;

public sealed class TextChecksTests
{
    private const string Filler = " The light is warm, the colours are soft, every surface is rendered in fine detail.";

    [Fact]
    public void A_prompt_that_says_everything_scores_full()
    {
        var score = TextChecks.Score("two lions dancing in the rain", [], Draft("Two lions dance in heavy rain on a plain." + Filler));
        Assert.Equal(100, score.Percent);
        Assert.False(score.Faulty);
    }

    [Theory]
    [InlineData("a lion and a mouse", "A lion rests on a rock under a tree." + Filler, "coverage", "does not mention: mouse")]
    [InlineData("a lion without people", "A lion watched by people on a plain." + Filler, "exclusions", "shows what was excluded: people")]
    [InlineData("a lion at night", "A lion at noon on a wide plain, midday heat." + Filler, "contradictions", "the request says 'night' and the prompt says 'noon'")]
    [InlineData("a lion", "A lion.", "length", "at least 15")]
    [InlineData("a lion", "Here is a prompt for a lion on a plain." + Filler, "clean", "talks about itself")]
    [InlineData("a lion", "A lion <b>roars</b> --ar 3:2 on a plain." + Filler, "clean", "markup")]
    [InlineData("a lion", "A lion is on a plain. A lion is on a plain." + Filler, "clean", "same sentence twice")]
    public void What_is_wrong_is_found_and_named(string request, string prompt, string check, string issue)
    {
        var found = TextChecks.Score(request, [], Draft(prompt)).Checks.Single(item => item.Name == check);
        Assert.True(found.Percent < 100);
        Assert.Contains(issue, found.Issues[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a lion without people", "A lion on a plain with no people anywhere.")]
    [InlineData("a lion, day and night", "A lion at night on a plain.")]
    [InlineData("a lion's cub", "A cub of lions on a plain.")]
    [InlineData("3 lions", "Three lions on a plain.")]
    public void What_keeps_to_the_request_is_not_held_against_it(string request, string prompt)
    {
        var score = TextChecks.Score(request, [], Draft(prompt + Filler));
        Assert.False(score.Faulty);
        Assert.All(score.Checks.Where(check => check.Name is "exclusions" or "contradictions"), check => Assert.Equal(100, check.Percent));
        Assert.True(score.Checks[0].Percent == 100 || request.StartsWith("a lion, day", StringComparison.Ordinal));
    }

    [Fact]
    public void Feedback_may_take_a_word_away()
    {
        Assert.True(TextChecks.Score("a lion at night", [], Draft("A cat at night on a plain." + Filler)).Checks[0].Percent < 100);
        Assert.Equal(100, TextChecks.Score("a lion at night", ["a cat instead of the lion"], Draft("A cat at night on a plain." + Filler)).Checks[0].Percent);
    }

    [Fact]
    public void A_request_in_another_script_is_not_compared_word_by_word()
    {
        var score = TextChecks.Score("夜のライオン", [], Draft("A lion at night on a plain." + Filler));
        Assert.Null(score.Checks[0].Percent);
        Assert.Equal(100, score.Percent);
    }

    /// <summary>Chinese, Japanese and Thai write no spaces: words cannot be told apart there, so nothing that counts words says anything.</summary>
    [Theory]
    [InlineData("一只狮子，送给朋友的生日祝福", "一只金色的狮子静静地躺在草地上，温暖的夕阳照亮了它的鬃毛，旁边放着送给朋友的生日祝福卡片。")]
    [InlineData("夜のライオン", "夜のサバンナで休むライオン。月の光がたてがみを照らし、静かな空気が漂っている。")]
    public void A_request_in_a_script_without_spaces_is_judged_by_what_can_be_told(string request, string prompt)
    {
        var score = TextChecks.Score(request, [], Draft(prompt));
        Assert.Equal(["coverage", "length"], score.Checks.Where(check => check.Percent is null).Select(check => check.Name));
        Assert.Equal(100, score.Percent);
    }

    [Theory]
    [InlineData("狮子", true)]
    [InlineData("金色的狮子", true)]
    [InlineData("老虎", false)]
    public void Words_quoted_from_a_script_without_spaces_stand_in_the_prompt(string quote, bool present)
    {
        var score = Scoring.Verify(new("", "", ["狮子"], [], [], "", ""), Draft("一只金色的狮子静静地躺在草地上。"), new([new(1, true, quote)], [], [], []));
        Assert.Equal(present, score.Elements[0].Present);
    }

    [Fact]
    public void A_negative_prompt_must_not_name_what_was_asked_for()
    {
        var score = TextChecks.Score("a lion", [], Draft("A lion on a plain." + Filler) with { Negative = ["lions"] });
        Assert.True(score.Faulty);
    }

    [Fact]
    public void An_element_counts_only_if_its_quote_stands_in_the_prompt()
    {
        var intent = new Intent("", "lion", ["a lion", "a friend", "a cake", "a song"], [], [], "", "");
        var answer = new EvaluationAnswer([new(1, true, "A LION,"), new(2, true, "his best friend"), new(3, false, "")], [], ["a car"], []);
        var score = Scoring.Verify(intent, Draft("There is a lion on a plain."), answer);
        Assert.Equal([true, false, false, false], score.Elements.Select(element => element.Present));
        Assert.Equal("the words quoted for it are not in the prompt", score.Elements[1].Problem);
        Assert.Equal(25 - 10, score.Percent);
    }

    [Fact]
    public void A_contradiction_caps_the_score_however_good_the_rest()
    {
        var text = TextChecks.Score("a lion at night", [], Draft("A lion at noon on a plain." + Filler));
        var combined = Scoring.Combine(text, new(100, [], [], [], []), null);
        Assert.Equal(Scoring.FaultyCap, combined.Percent);
    }

    /// <summary>The same letter may be written in several ways, and letters in several widths.</summary>
    [Fact]
    public void Words_are_compared_in_one_form() => Assert.Equal(["caf\u00e9", "lion"], Words.Split("cafe\u0301 \uff2c\uff29\uff2f\uff2e"));

    [Fact]
    public void Words_quoted_are_whole_words_where_there_are_spaces()
    {
        var answer = new EvaluationAnswer([new(1, true, "lion"), new(2, true, "рыж")], [], [], []);
        var score = Scoring.Verify(new("", "", ["a", "b"], [], [], "", ""), Draft("A lioness near a рыжий кот, a lion."), answer);
        Assert.Equal([true, false], score.Elements.Select(element => element.Present));
    }

    internal static PromptDraft Draft(string prompt) => new(prompt, "a lion", "plain", "", "", "", "", "", [], "1:1");
}
