using System.Text;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Constraints;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Tests.Tools;

public sealed class ReasoningTests
{
    [Theory]
    [InlineData(false, "<think>\nHm.\n\nSo.\n</think>\n\nGood day.\n", "(Hm.\n\nSo.) 'Good day.\n'")]
    [InlineData(false, "\n<think>Hm.</think>Good day.", "(Hm.) 'Good day.'")]
    [InlineData(false, "<think>\n\n</think>\n\nGood day.", "'Good day.'")]
    [InlineData(false, "<think>Hm", "(Hm)")]
    [InlineData(false, "<think>Hm</thin", "(Hm</thin)")]
    [InlineData(false, "<thin", "'<thin'")]
    [InlineData(false, " Good day.</think> <think>", "' Good day.</think> <think>'")]
    [InlineData(true, "Hm.\n</think>\n\nGood day.", "(Hm.) 'Good day.'")]
    [InlineData(true, "Hm <think> <tool_call>{\"name\": \"go\"}</tool_call></think><tool_call>{\"name\": \"go\"}</tool_call>", "(Hm <think> <tool_call>{\"name\": \"go\"}</tool_call>) go {}")]
    [InlineData(true, "a</think>b</think><think>c</think>", "(a) 'b</think><think>c</think>'")]
    [InlineData(true, "", "")]
    public void A_section_is_told_from_the_answer_however_the_text_is_cut(bool inside, string text, string expected)
    {
        AssertRead(expected, text, () => new ReasoningReader(ReasoningParser.Think, inside ? ReasoningStart.Inside : ReasoningStart.Possible, new CallReader(new HermesSyntax())));
    }

    [Theory]
    [InlineData("Possible", "<think>Hm.</think>\n<response>Good\nday.</response>\n", "(Hm.) 'Good\nday.'")]
    [InlineData("Possible", "<think>Hm.</think><response>Good <think>day.", "(Hm.) 'Good <think>day.'")]
    [InlineData("Possible", "<think>Hm.</think> Good day.</response>", "(Hm.) 'Good day.</response>'")]
    [InlineData("Possible", "<think>Hm.</think> <resp", "(Hm.) '<resp'")]
    [InlineData("Possible", " <response>Good day.</response>", "'Good day.'")]
    [InlineData("Possible", " Good <response>day.</response>", "' Good <response>day.</response>'")]
    [InlineData("Inside", "Hm.</think><response>Good day.</response><|tool_call|>[{\"name\": \"go\"}]", "(Hm.) 'Good day.' go {}")]
    [InlineData("None", "<response>Good day.</response>", "'Good day.'")]
    [InlineData("None", "<think>Good day.</think>", "'<think>Good day.</think>'")]
    public void Granites_answer_is_between_tags_of_its_own(string start, string text, string expected) =>
        AssertRead(expected, text, () => new ReasoningReader(ReasoningParser.Granite, Enum.Parse<ReasoningStart>(start), new CallReader(new GraniteSyntax())));

    private static void AssertRead(string expected, string text, Func<IAnswerReader> reader)
    {
        Assert.Equal(expected, CallReaderTests.Say(reader(), [text]));
        Assert.Equal(expected, CallReaderTests.Say(reader(), text.Select(character => character.ToString())));
        for (var cut = 1; cut < text.Length; cut++)
            Assert.Equal(expected, CallReaderTests.Say(reader(), [text[..cut], text[cut..]]));
    }

    [Theory]
    [InlineData(true, false, "(Hm.) '{}'")]
    [InlineData(false, true, "'Hm.' find {}")]
    [InlineData(false, false, "'Hm.{}'")]
    public void What_channels_are_not_read_for_stays_content(bool reasoning, bool calls, string expected)
    {
        const string text = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.find<|message|>{}<|call|>";
        Assert.Equal(expected, CallReaderTests.Say(new HarmonyReader(calls, reasoning), [text]));
    }

    [Theory]
    [InlineData("<|im_start|>assistant\n<think>\n", "Inside")]
    [InlineData("<|im_start|>assistant\n<think>\n\n</think>\n\n", "None")]
    [InlineData("<｜Assistant｜></think>", "None")]
    [InlineData("<think>old</think><|im_start|>assistant\n", "Possible")]
    [InlineData("", "Possible")]
    public void The_prompt_shows_where_an_answer_begins(string prompt, string expected)
    {
        Assert.Equal(Enum.Parse<ReasoningStart>(expected), ReasoningFormat.Start(ToolCallParser.None, ReasoningParser.Think, prompt));
        Assert.Equal(ReasoningStart.None, ReasoningFormat.Start(ToolCallParser.Hermes, ReasoningParser.None, prompt));
    }

    [Theory]
    [InlineData(ToolCallParser.Harmony, ReasoningParser.None, "<|start|>assistant", "Channels")]
    [InlineData(ToolCallParser.None, ReasoningParser.Harmony, "<|start|>assistant", "Channels")]
    [InlineData(ToolCallParser.Harmony, ReasoningParser.Harmony, "<|start|>assistant<|channel|>final<|message|>", "None")]
    public void A_prompt_for_channels_begins_a_header_or_a_message(ToolCallParser calls, ReasoningParser reasoning, string prompt, string expected) =>
        Assert.Equal(Enum.Parse<ReasoningStart>(expected), ReasoningFormat.Start(calls, reasoning, prompt));

    [Theory]
    [InlineData(ToolCallParser.Hermes, "{% set content = content.split('</think>')[-1] %}", ReasoningParser.Think)]
    [InlineData(ToolCallParser.None, "between <think></think> and <response></response>", ReasoningParser.Granite)]
    [InlineData(ToolCallParser.Hermes, "<tool_call>", ReasoningParser.None)]
    [InlineData(ToolCallParser.Harmony, "<|channel|>", ReasoningParser.Harmony)]
    [InlineData(ToolCallParser.None, null, ReasoningParser.None)]
    public void A_template_shows_the_format(ToolCallParser calls, string? template, ReasoningParser expected) =>
        Assert.Equal(expected, ReasoningFormat.Decide(ReasoningParser.Auto, calls, template));

    [Fact]
    public void Formats_that_do_not_go_together_are_refused()
    {
        Assert.Contains("reasoningParser: Think", Assert.Throws<UserInputException>(() => ReasoningFormat.Decide(ReasoningParser.Think, ToolCallParser.Harmony, null)).Message, StringComparison.Ordinal);
        Assert.Contains("reasoningParser: Granite", Assert.Throws<UserInputException>(() => ReasoningFormat.Decide(ReasoningParser.Granite, ToolCallParser.Harmony, null)).Message, StringComparison.Ordinal);
        Assert.Contains("toolCallParser Hermes", Assert.Throws<UserInputException>(() => ReasoningFormat.Decide(ReasoningParser.Harmony, ToolCallParser.Hermes, null)).Message, StringComparison.Ordinal);
        Assert.Equal(ReasoningParser.Harmony, ReasoningFormat.Decide(ReasoningParser.Harmony, ToolCallParser.None, null));
        Assert.Equal(ReasoningParser.None, ReasoningFormat.Decide(ReasoningParser.None, ToolCallParser.Harmony, null));
    }

    [Theory]
    [InlineData("Inside", "any \"{</thin</think>\n\n{}", true)]
    [InlineData("Inside", "<<<</</think></think>{}", false)]
    [InlineData("Inside", "<<<</</think>{}", true)]
    [InlineData("Inside", "a§</think>{}", true)]
    [InlineData("Inside", "a§<think></think>{}", false)]
    [InlineData("Inside", "a</th§</think>{}", true)]
    [InlineData("Inside", "{}", false)]
    [InlineData("Inside", "é</think>{}x", false)]
    [InlineData("Possible", "{}", true)]
    [InlineData("Possible", "<think>a</think> {}", true)]
    [InlineData("Possible", "§<think>a§</think> {}", true)]
    [InlineData("Possible", "a</think>{}", false)]
    [InlineData("None", "{}", true)]
    [InlineData("None", "<think></think>{}", false)]
    public void A_grammar_is_one_of_the_content(string start, string text, bool fits) =>
        Assert.Equal(fits, Fits(ReasoningFormat.Around(JsonGrammar.Object, ReasoningParser.Think, Enum.Parse<ReasoningStart>(start)), text));

    [Theory]
    [InlineData("Possible", "<think>a</think>\n<response>\n{}\n</response>", true)]
    [InlineData("Possible", "<think>a</think>{}", true)]
    [InlineData("Possible", "<response>{}</response>", true)]
    [InlineData("Possible", "<response>{}", false)]
    [InlineData("Possible", "{}</response>", false)]
    [InlineData("None", "<response>{}</response>", true)]
    [InlineData("None", "<think>a</think>{}", false)]
    public void Granites_tags_may_stand_around_the_content(string start, string text, bool fits) =>
        Assert.Equal(fits, Fits(ReasoningFormat.Around(JsonGrammar.Object, ReasoningParser.Granite, Enum.Parse<ReasoningStart>(start)), text));

    [Theory]
    [InlineData("§<|channel|>final§<|message|>{}", true)]
    [InlineData("<|channel|>final<|message|>{}", true)]
    [InlineData("§<|channel|>final §<|constrain|>json§<|message|>{}", true)]
    [InlineData("§<|channel|>analysis§<|message|>a <| b <|c< §<|end|>§<|start|>assistant§<|channel|>final§<|message|>{}", true)]
    [InlineData("§<|channel|>analysis§<|message|>a§<|end|>§<|start|>assistant§<|channel|>analysis§<|message|>b<|end|><|start|>assistant§<|channel|>final§<|message|>{}", true)]
    [InlineData("§<|channel|>analysis§<|message|>a<|channel|>b§<|end|>§<|start|>assistant§<|channel|>final§<|message|>{}", false)]
    [InlineData("§<|channel|>analysis§<|message|>a§<|channel|>b§<|end|>§<|start|>assistant§<|channel|>final§<|message|>{}", false)]
    [InlineData("§<|channel|>analysis§<|message|>a", false)]
    [InlineData("§<|channel|>final§<|message|>{\"a\": \"§<|end|>\"}", false)]
    [InlineData("{}", false)]
    public void In_channels_a_grammar_is_one_of_the_final_message(string text, bool fits)
    {
        Assert.Equal(fits, Fits(HarmonyGrammar.Final(JsonGrammar.Object, true), text));
        Assert.Equal(fits && !text.Contains("analysis", StringComparison.Ordinal), Fits(HarmonyGrammar.Final(JsonGrammar.Object, false), text));
    }

    [Theory]
    [InlineData("§<|channel|>commentary to=functions.find §<|constrain|>json§<|message|>{}", true)]
    [InlineData(" to=functions.find§<|channel|>commentary json§<|message|>{}", true)]
    [InlineData("§<|channel|>analysis§<|message|>Hm§<|end|>§<|start|>assistant to=functions.go§<|channel|>commentary§<|message|>{}", true)]
    [InlineData("§<|channel|>commentary to=functions.go§<|constrain|>json§<|message|>{}", true)]
    [InlineData("§<|channel|>commentary to=functions.gojson§<|message|>{}", false)]
    [InlineData("§<|channel|>commentary to=functions.fly§<|message|>{}", false)]
    [InlineData("§<|channel|>commentary§<|message|>{}", false)]
    [InlineData("§<|channel|>final§<|message|>{}", false)]
    public void In_channels_a_call_names_its_tool_in_the_header(string text, bool fits) =>
        Assert.Equal(fits, Fits(HarmonyGrammar.Call([("find", JsonGrammar.Object), ("go", JsonGrammar.Object)], true), text));

    /// <param name="root">The grammar.</param>
    /// <param name="text">What is read; § before a control token.</param>
    private static bool Fits(GrammarNode root, string text)
    {
        var machine = new GrammarMachine(root);
        var state = machine.Start;
        foreach (var value in text.Split('§').SelectMany((part, i) => i == 0 ? Encoding.UTF8.GetBytes(part) : MarkerGrammar.ControlToken(Encoding.UTF8.GetBytes(part))))
            state = state is null ? null : machine.Next(state, value);
        return state is { Accepting: true };
    }
}
