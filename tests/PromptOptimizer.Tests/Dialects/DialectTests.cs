using System.Text.RegularExpressions;
using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Dialects;

namespace Moebius.PromptOptimizer.Tests.Dialects;

public sealed class DialectTests
{
    private static readonly PromptDraft Lion = new(
        "A golden lion rests under an acacia. Warm evening light falls across its mane.",
        "golden lion", "savanna at dusk", "low angle, close", "warm rim light", "amber and ochre", "oil painting", "calm",
        ["people", "text, watermark"], "3:2");

    [Fact]
    public void Each_dialect_is_written_as_its_model_reads_it()
    {
        Assert.Equal("(golden lion:1.2), savanna at dusk, low angle, close, warm rim light, amber and ochre, oil painting, calm", Dialect.Write(PromptDialect.StableDiffusion, Lion, []));
        Assert.Equal("people, text, watermark", StableDiffusion.Negative(Lion));
        Assert.Equal(Lion.Prompt, Dialect.Write(PromptDialect.Flux, Lion, []));
        Assert.Equal($"{Lion.Prompt} --no people, text watermark --ar 3:2", Dialect.Write(PromptDialect.Midjourney, Lion, []));
        Assert.Equal($"{Lion.Prompt} The image shows none of the following: people, text, watermark.", Dialect.Write(PromptDialect.DallE, Lion, []));
    }

    [Fact]
    public void Stable_Diffusion_escapes_brackets_and_defuses_keywords_and_networks()
    {
        var text = StableDiffusion.Write(Lion with { Subject = "lion (young) [tame]: AND <lora:evil:1>", Setting = "BRE|AK {a|b}" }, []);
        Assert.StartsWith(@"(lion \(young\) \[tame\] and lora evil 1:1.2), break ab", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Stable_Diffusion_keeps_what_was_asked_for_before_style() =>
        Assert.StartsWith("(golden lion:1.2), a birthday cake, savanna at dusk", StableDiffusion.Write(Lion, ["lion", "a birthday cake"]), StringComparison.Ordinal);

    [Fact]
    public void A_long_subject_leaves_room_for_its_weight() =>
        Assert.Equal($"({string.Join(' ', Enumerable.Repeat("lion", 69))}:1.2)", StableDiffusion.Write(Lion with { Subject = string.Join(' ', Enumerable.Repeat("lion", 100)) }, []));

    [Fact]
    public void A_draft_without_parts_says_its_description()
    {
        var bare = new PromptDraft("A lion rests. Warm light, red sky.", "lion", "", "", "", "", "", "", [], "1:1");
        Assert.Equal("(lion:1.2), A lion rests, Warm light, red sky", StableDiffusion.Write(bare, []));
        Assert.Equal("(lion:1.2), dusk", StableDiffusion.Write(bare with { Setting = "dusk" }, []));
    }

    [Fact]
    public void What_must_not_appear_takes_half_of_a_message_at_most()
    {
        var prompt = string.Concat(Enumerable.Repeat("The lion rests. ", 55)).TrimEnd();
        var text = Midjourney.Write(Lion with { Prompt = prompt, Negative = [.. Enumerable.Range(10, 60).Select(number => $"thing number {number} of so many")] });
        Assert.StartsWith(prompt + " --no ", text, StringComparison.Ordinal);
        Assert.InRange(text.Length - prompt.Length, 800, 930);
    }

    [Fact]
    public void Flux_takes_weights_off() => Assert.Equal("A golden lion rests.", Flux.Write(Lion with { Prompt = "A (golden lion:1.3) rests." }));

    [Theory]
    [InlineData("A lion --v 5 --no mane", "A lion - v 5 - no mane --no people, text watermark --ar 3:2")]
    [InlineData("A lion —ar 1:1", "A lion - ar 1:1 --no people, text watermark --ar 3:2")]
    [InlineData("A lion::2 tree::1", "A lion:2 tree:1 --no people, text watermark --ar 3:2")]
    [InlineData("A lion -{- v 5 :}: 2", "A lion - v 5 : 2 --no people, text watermark --ar 3:2")]
    [InlineData("A lion http:{//x/y", "A lion --no people, text watermark --ar 3:2")]
    [InlineData("A lion -\u200b-ar 9:16", "A lion - ar 9:16 --no people, text watermark --ar 3:2")]
    [InlineData("A lion -\u200d-ar 9:16 :\u00ad: 2", "A lion - ar 9:16 : 2 --no people, text watermark --ar 3:2")]
    [InlineData("https://x/y.png A {red, blue} lion", "A red, blue lion --no people, text watermark --ar 3:2")]
    public void Midjourney_text_carries_no_commands(string prompt, string expected) => Assert.Equal(expected, Midjourney.Write(Lion with { Prompt = prompt }));

    /// <summary>What nobody sees must not be in a text that people copy: it turns lines round, or hides words from them.</summary>
    [Fact]
    public void A_draft_holds_no_signs_that_nobody_sees()
    {
        var hidden = string.Concat("ignore".Select(letter => char.ConvertFromUtf32(0xE0000 + letter)));
        var draft = (Lion with { Prompt = $"A lion \u202etsohg\u202c rests.{hidden}\ufeff", Subject = "li\u200bon", Negative = ["\u2066people\u2069", "\u200b"] }).Clean();
        Assert.Equal("A lion tsohg rests.", draft.Prompt);
        Assert.Equal("lion", draft.Subject);
        Assert.Equal(["people"], draft.Negative);
        // Those that join letters or parts of an emoji are seen.
        Assert.Equal("\U0001F468\u200d\U0001F469 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", (Lion with { Prompt = "\U0001F468\u200d\U0001F469 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645" }).Clean().Prompt);
    }

    [Fact]
    public void Long_prompts_end_at_a_sentence()
    {
        var draft = Lion with { Prompt = string.Concat(Enumerable.Repeat("The lion rests under the acacia. ", 200)).TrimEnd() };
        Assert.EndsWith("acacia.", Flux.Write(draft), StringComparison.Ordinal);
        Assert.Contains("acacia. The image shows", DallE.Write(draft), StringComparison.Ordinal);
        Assert.Contains("acacia. --no", Midjourney.Write(draft), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("abcde", 1)]
    [InlineData("abcdef", 2)]
    [InlineData("a b", 2)]
    [InlineData("abcdé", 3)]
    [InlineData("12.", 3)]
    [InlineData("日", 3)]
    [InlineData("😀", 3)]
    public void Tokens_are_estimated_high(string text, int tokens) => Assert.Equal(tokens, Sentences.EstimateTokens(text));

    [Property(MaxTest = 300)]
    public void Any_draft_keeps_to_every_limit(string? a, string? b, string? c, AnyInt repeat)
    {
        var many = string.Concat(Enumerable.Repeat((a ?? "x") + " ", Math.Abs(repeat.Item % 400) + 1));
        var draft = new PromptDraft(many, b ?? "", c ?? "", many, b ?? "", c ?? "", a ?? "", "", [many, b ?? "", c ?? ""], "16:9").Clean();
        Assert.InRange(Sentences.EstimateTokens(StableDiffusion.Write(draft, [c ?? "", many])), 0, StableDiffusion.MaxTokens);
        Assert.InRange(Sentences.EstimateTokens(StableDiffusion.Negative(draft)), 0, StableDiffusion.MaxTokens);
        Assert.InRange(Sentences.EstimateTokens(Flux.Write(draft)), 0, Flux.MaxTokens);
        Assert.InRange(DallE.Write(draft).Length, 0, DallE.MaxCharacters);
        var midjourney = Midjourney.Write(draft);
        Assert.InRange(midjourney.Length, 0, Midjourney.MaxCharacters);
        Assert.Matches("^(?:(?!--|::|://).)*(?: --no (?:(?!--|::).)*)? --ar 16:9$", midjourney);
        // No bracket that would weigh anything but the subject.
        Assert.Empty(Regex.Matches(StableDiffusion.Negative(draft), @"(?<!\\)[()\[\]]"));
    }
}
