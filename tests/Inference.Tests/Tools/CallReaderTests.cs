using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Tests.Tools;

public sealed class CallReaderTests
{
    private static readonly JsonElement Tools = JsonDocument.Parse("""
        [{"type":"function","function":{"name":"find","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"tags":{"type":"array"},"code":{"enum":["7","8"]}}}}}]
        """).RootElement;

    /// <summary>What a model of each format writes, and the parts of it: content, then calls as name and arguments.</summary>
    public static TheoryData<ToolCallParser, string, string> Answers => new()
    {
        { ToolCallParser.Hermes, "<tool_call>\n{\"name\": \"find\", \"arguments\": {\"city\": \"Bath\"}}\n</tool_call>", "find {\"city\": \"Bath\"}" },
        { ToolCallParser.Hermes, "Let me look.\n\n<tool_call>{\"name\":\"find\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"go\"}</tool_call>\n", "'Let me look.' find {} go {}" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"city\": \"</tool_call>}\\\"{\"}}</tool_call> Done ", "find {\"city\": \"</tool_call>}\\\"{\"} 'Done '" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": \"{\\\"days\\\": 2}\"}", "find {\"days\": 2}" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"days\": 2, \"days\": 3}}", "find {\"days\": 2, \"days\": 3}" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": \"{\\\"days\\\": 2, \\\"days\\\": 3}\"}", "find {\"days\": 2, \"days\": 3}" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"city", "find {\"city~" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arg", "'<tool_call>{\"name\": \"find\", \"arg'" },
        { ToolCallParser.Hermes, "<tool_call>{\"arguments\": {\"days\": 2}, \"name\": \"find\"}</tool_call>", "find {\"days\": 2}" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"days\": Two}}</tool_call>", "find {\"days\": ~ 'Two}}</tool_call>'" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"days\": 2}, \"id\": 7}</tool_call>", "find {\"days\": 2}" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"days\": 2}]</tool_call>", "find {\"days\": 2} ']</tool_call>'" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": \"\\ud800\"}</tool_call>", "'<tool_call>{\"name\": \"\\ud800\"}</tool_call>'" },
        { ToolCallParser.Hermes, "<tool_call><tool_call>{\"name\": \"go\"}</tool_c", "'<tool_call>' go {}" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\": 5}</tool_call>  <tool_call>{\"name\":\"find\"}</tool_call>", "'<tool_call>{\"name\": 5}</tool_call>' find {}" },
        { ToolCallParser.Hermes, "a <tool_call> is <b>bold</b>\n", "'a <tool_call> is <b>bold</b>\n'" },
        { ToolCallParser.Hermes, "<tool_call>{\"name\":\"x\",\"arguments\":[1]}</tool_call>", "'<tool_call>{\"name\":\"x\",\"arguments\":[1]}</tool_call>'" },
        { ToolCallParser.Mistral, "[TOOL_CALLS] [{\"name\": \"find\", \"arguments\": {\"city\": \"[Ulm]\"}}, {\"name\": \"go\", \"arguments\": {}}]", "find {\"city\": \"[Ulm]\"} go {}" },
        { ToolCallParser.Mistral, "Yes.[TOOL_CALLS]find[ARGS]{\"days\": 1}[TOOL_CALLS]go[CALL_ID]abc[ARGS]{}", "'Yes.' find {\"days\": 1} go {}" },
        { ToolCallParser.Mistral, "[TOOL_CALLS] [{\"name\": \"find\"", "'[TOOL_CALLS] [{\"name\": \"find\"'" },
        { ToolCallParser.Mistral, "[TOOL_CALLS] are\nnot this", "'[TOOL_CALLS] are\nnot this'" },
        { ToolCallParser.Granite, "<|tool_call|>[{\"name\": \"find\", \"arguments\": {\"city\": \"Bath\"}}]", "find {\"city\": \"Bath\"}" },
        { ToolCallParser.Granite, "<tool_call>[{\"name\": \"find\", \"arguments\": {}}] ", "find {}" },
        { ToolCallParser.Granite, "<|tool_call|>[{\"name\": \"a\", \"arguments\": {}}, {\"name\": 1}] b", "a {} ', {\"name\": 1}] b'" },
        { ToolCallParser.Granite, "<|tool_call|>[]", "'<|tool_call|>[]'" },
        { ToolCallParser.DeepSeekV3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{\"city\": \"Bath\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>go\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "find {\"city\": \"Bath\"} go {}" },
        { ToolCallParser.DeepSeekV3, "Well.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>find<｜tool▁sep｜>{\"days\": 3}<｜tool▁call▁end｜>", "'Well.' find {\"days\": 3}" },
        { ToolCallParser.DeepSeekV3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>find<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁call▁begin｜>go", "find {} '<｜tool▁call▁begin｜>go'" },
        { ToolCallParser.DeepSeekV3, "<｜tool▁calls▁begin｜>no", "'<｜tool▁calls▁begin｜>no'" },
        { ToolCallParser.Glm45, "\n<tool_call>find\n<arg_key>city</arg_key>\n<arg_value>7</arg_value>\n<arg_key>days</arg_key>\n<arg_value>7</arg_value>\n<arg_key>tags</arg_key>\n<arg_value>[\"a\", null]</arg_value>\n</tool_call>", "find {\"city\": \"7\", \"days\": 7, \"tags\": [\"a\", null]}" },
        { ToolCallParser.Glm45, "<tool_call>find<arg_key>code</arg_key><arg_value>8</arg_value><arg_key>note</arg_key><arg_value>a \"b\"\n</arg_value></tool_call>", "find {\"code\": \"8\", \"note\": \"a \\\"b\\\"\\n\"}" },
        { ToolCallParser.Glm45, "<tool_call>go\n</tool_call>\nSo.", "go {} 'So.'" },
        { ToolCallParser.Glm45, "<tool_call>two words</tool_call>", "'<tool_call>two words</tool_call>'" },
        { ToolCallParser.Glm45, "<tool_call>find\n<arg_key>days</arg_key>\n<arg_value>7</arg_value>", "find {\"days\": 7~" },
        { ToolCallParser.Glm45, "<tool_call>find\n<arg_key>city</arg_key>\n<arg_value>B\U0001F600 </arg_value>\n</tool_call>", "find {\"city\": \"B\\uD83D\\uDE00 \"}" },
        { ToolCallParser.Qwen3Coder, "Ok\n<tool_call>\n<function=find>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n12\n</parameter>\n</function>\n</tool_call>", "'Ok' find {\"city\": \"12\", \"days\": 12}" },
        { ToolCallParser.Qwen3Coder, "<tool_call>\n<function=go>\n</function>\n</tool_call>\n<tool_call>\n<function=find>\n<parameter=city>\na\n\nb\n</parameter>\n</function>\n</tool_call>", "go {} find {\"city\": \"a\\n\\nb\"}" },
        { ToolCallParser.Qwen3Coder, "<tool_call>\n<function=find>\n<parameter=city>\n12", "find {\"city\": \"12~" },
        { ToolCallParser.Qwen3Coder, "<tool_call>\n<function=find>\n<parameter=days>\n1\n</parameter>\n<parameter=tags>\n[1,", "find {\"days\": 1, \"tags\": ~" },
        { ToolCallParser.Qwen3Coder, "<tool_call>\n<function=find>\n<parameter=city>\n\n\"a\"\\\n\n</parameter>\n<parameter=city>\nb\n</parameter>\n</function> so", "find {\"city\": \"\\n\\\"a\\\"\\\\\\n\"} 'so'" },
        { ToolCallParser.Qwen3Coder, "<tool_call>\n<function=find>\n<parameter=city></parameter>\nwell </function>", "find {\"city\": \"\"~ 'well </function>'" },
        { ToolCallParser.Harmony, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello!", "(Hm.) 'Hello!'" },
        { ToolCallParser.Harmony, "<|channel|>analysis<|message|>A<b<|end|><|start|>assistant<|channel|>commentary to=functions.find <|constrain|>json<|message|>{\"city\":\"Bath\"}<|call|>", "(A<b) find {\"city\":\"Bath\"}" },
        { ToolCallParser.Harmony, "<|channel|>commentary<|message|>I shall.<|end|><|start|>assistant to=functions.find<|channel|>commentary json<|message|>{\"days\":1}", "'I shall.' find {\"days\":1}" },
        { ToolCallParser.Harmony, " to=functions.go<|channel|>commentary<|message|>{}", "go {}" },
        { ToolCallParser.Harmony, "<|channel|>commentary to=functions.find<|message|>{\"city\":", "find {\"city\":~" },
        { ToolCallParser.Harmony, "<|channel|>commentary to=functions.find<|message|>{\"city\":\"<|call|><|channel|>final<|message|>So.", "find {\"city\":\"~ 'So.'" },
        { ToolCallParser.Harmony, "<|channel|>commentary to=functions.find<|message|>city<|end|>", "'<|channel|>commentary to=functions.find<|message|>city'" },
        { ToolCallParser.Harmony, "<|channel|>commentary to=functions.find<|message|> <|call|>", "find {}" },
        { ToolCallParser.Harmony, "<|channel|>analysis to=python<|message|>1+1<|call|>", "(1+1)" },
        { ToolCallParser.Harmony, "plain {\"a\": 1} text\n", "'plain {\"a\": 1} text\n'" },
        { ToolCallParser.Harmony, "<|channel|>final", "'<|channel|>final'" },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    public void Calls_are_told_from_content_however_the_text_is_cut(ToolCallParser parser, string text, string expected)
    {
        Assert.Equal(expected, Read(parser, [text]));
        for (var width = 1; width <= 9; width++)
            Assert.Equal(expected, Read(parser, text.Chunk(width).Select(part => new string(part))));
        for (var cut = 1; cut < text.Length; cut++)
            Assert.Equal(expected, Read(parser, [text[..cut], text[cut..]]));
    }

    /// <summary>Beginnings of calls, and what is known of the arguments by then.</summary>
    [Theory]
    [InlineData(ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {", "{")]
    [InlineData(ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"city\": \"Ba", "{\"city\": \"Ba")]
    [InlineData(ToolCallParser.Mistral, "[TOOL_CALLS] [{\"name\": \"find\", \"arguments\": {\"city\"", "{\"city\"")]
    [InlineData(ToolCallParser.Mistral, "[TOOL_CALLS]find[ARGS]{\"ci", "{\"ci")]
    [InlineData(ToolCallParser.Granite, "<|tool_call|>[{\"name\": \"find\", \"arguments\": {\"c", "{\"c")]
    [InlineData(ToolCallParser.DeepSeekV3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{\"c", "{\"c")]
    [InlineData(ToolCallParser.DeepSeekV3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>find<｜tool▁sep｜>{\"c", "{\"c")]
    [InlineData(ToolCallParser.Glm45, "<tool_call>find\n<arg_key>", "")]
    [InlineData(ToolCallParser.Glm45, "<tool_call>find\n<arg_key>city</arg_key>\n<arg_value>Bath", "{\"city\": \"Bath")]
    [InlineData(ToolCallParser.Glm45, "<tool_call>find\n<arg_key>days</arg_key>\n<arg_value>7</arg_value>", "{\"days\": 7")]
    [InlineData(ToolCallParser.Qwen3Coder, "<tool_call>\n<function=find>", "")]
    [InlineData(ToolCallParser.Qwen3Coder, "<tool_call>\n<function=find>\n<parameter=city>\nBath\n", "{\"city\": \"Bath")]
    [InlineData(ToolCallParser.Harmony, "<|channel|>commentary to=functions.find <|constrain|>json<|message|>{\"c", "{\"c")]
    public void A_call_is_told_of_while_it_is_written(ToolCallParser parser, string text, string arguments)
    {
        var reader = Reader(parser);
        var parts = text.SelectMany(character => reader.Append(character.ToString())).ToList();
        Assert.Equal(new CallBegin("find"), parts[0]);
        Assert.Equal(arguments, string.Concat(parts.Skip(1).Cast<CallArguments>().Select(part => part.Text)));
    }

    // Reading what is held back again at every token would take hours and terabytes.
    [Theory]
    [InlineData(ToolCallParser.Hermes, "<tool_call>{\"name\": \"find\", \"arguments\": {\"city\": \"", "abcd ")]
    [InlineData(ToolCallParser.Hermes, "<tool_call>{\"arguments\": {\"city\": \"", "abcd ")]
    [InlineData(ToolCallParser.Hermes, "<tool_call>", "<tool_call>{")]
    [InlineData(ToolCallParser.Hermes, "<tool_call>{\"", "<tool_call>{\\\"")]
    [InlineData(ToolCallParser.Hermes, "a", " \n")]
    [InlineData(ToolCallParser.Granite, "<|tool_call|>", "[{\"a\":")]
    [InlineData(ToolCallParser.Mistral, "[TOOL_CALLS]", "[TOOL_CALLS]name")]
    [InlineData(ToolCallParser.Mistral, "[TOOL_CALLS]", "name")]
    [InlineData(ToolCallParser.DeepSeekV3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", "find")]
    [InlineData(ToolCallParser.Glm45, "<tool_call>find<arg_key>tags</arg_key><arg_value>", "<tool_call>find<arg_key>tags</arg_key>")]
    [InlineData(ToolCallParser.Qwen3Coder, "<tool_call><function=find><parameter=city>", "</parameter ")]
    [InlineData(ToolCallParser.Qwen3Coder, "<tool_call><function=find>", " ")]
    [InlineData(ToolCallParser.Harmony, "<|channel|>", "<|channel|>a")]
    [InlineData(ToolCallParser.Harmony, " ", " ")]
    [InlineData(ToolCallParser.Harmony, "<|channel|>commentary to=functions.find<|message|>{\"", "abcd ")]
    public void A_million_characters_are_read_once(ToolCallParser parser, string begin, string repeated)
    {
        var reader = Reader(parser);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var characters = 0L;
        Count(reader.Append(begin));
        for (var length = 0; length < 1_000_000; length += repeated.Length)
            Count(reader.Append(repeated));
        Count(reader.Finish());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 500L << 20);
        Assert.InRange(characters, 0, 1_100_000);

        void Count(IReadOnlyList<AnswerPart> parts) => characters += parts.Sum(part => part switch
        {
            ContentPart content => content.Text.Length,
            ReasoningPart reasoning => reasoning.Text.Length,
            CallArguments arguments => arguments.Text.Length,
            _ => 0,
        });
    }

    [Theory]
    [MemberData(nameof(Answers))]
    public void No_part_of_a_call_is_shown_as_content(ToolCallParser parser, string text, string expected)
    {
        if (expected.Contains('<', StringComparison.Ordinal) || expected.Contains('[', StringComparison.Ordinal))
            return;
        var reader = Reader(parser);
        foreach (var character in text)
            Assert.DoesNotContain(reader.Append(character.ToString()), part => part is ContentPart content && content.Text.AsSpan().IndexOfAny("<[") >= 0);
    }

    // Texts out of pieces of all formats: whatever they make, cuts do not matter, and nothing but white space and markers is lost.
    [Property(MaxTest = 300)]
    public Property Cuts_never_matter()
    {
        var pieces = Gen.Elements("<tool_call>", "</tool_call>", "<tool", "{\"name\": \"find\", \"arguments\": {\"city\": \"B\"}}", "{\"name\"", "[", "]", "}", "\"", "\\", " ", "\n", "text", "<", "é", "[TOOL_CALLS]", "[ARGS]", "find", "<|tool_call|>", "[{\"name\":\"a\"}]",
            "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<arg_key>k</arg_key>", "<arg_value>v</arg_value>", "<function=find>", "<parameter=p>", "</parameter>", "</function>",
            "<|channel|>", "<|start|>", "<|message|>", "<|end|>", "analysis", " to=functions.find", "{}", "<|call|>");
        var texts = Gen.ListOf(pieces).Select(string.Concat);
        var parsers = Gen.Elements(ToolCallParser.Hermes, ToolCallParser.Mistral, ToolCallParser.Granite, ToolCallParser.DeepSeekV3, ToolCallParser.Glm45, ToolCallParser.Qwen3Coder, ToolCallParser.Harmony);
        return Prop.ForAll(texts.ToArbitrary(), parsers.ToArbitrary(), Gen.Choose(0, int.MaxValue).ToArbitrary(), (text, parser, seed) =>
        {
            var random = new Random(seed);
            var cuts = new List<string>();
            for (var at = 0; at < text.Length;)
            {
                var length = Math.Min(random.Next(1, 12), text.Length - at);
                cuts.Add(text.Substring(at, length));
                at += length;
            }

            var whole = Read(parser, [text]);
            Assert.Equal(whole, Read(parser, cuts));
        });
    }

    [Property(MaxTest = 200)]
    public Property A_text_without_a_marker_is_content_to_the_letter() =>
        Prop.ForAll(Gen.ListOf(Gen.Elements("a", "<", "tool", " ", "\n", "{}", "[", "|", "é", "to", "=", "_call>", "\t")).Select(string.Concat).ToArbitrary(), text =>
        {
            foreach (var parser in Enum.GetValues<ToolCallParser>())
                Assert.Equal(text.Contains("<tool_call>", StringComparison.Ordinal) || (parser == ToolCallParser.Harmony && text.TrimStart().StartsWith("to=", StringComparison.Ordinal)) ? null : text, Content(parser, text));
        });

    [Fact]
    public void Calls_that_the_answer_must_be_come_one_by_one_and_the_rest_stays_content()
    {
        Assert.Equal("find {\"a\": [1]} go {}", Say(new GivenCallReader(null), ["[{\"name\": \"find\", \"argum", "ents\": {\"a\": [1]}},\n {\"name\":\"go\",\"arguments\":{}}", "]"]));
        Assert.Equal([new CallBegin("go"), new CallArguments("{}"), new CallEnd(true)], new GivenCallReader(null).Append("[{\"name\":\"go\",\"arguments\":{}},"));
        Assert.Equal("go {\"a\": \"}\"}", Say(new GivenCallReader("go"), ["{\"a\": ", "\"}\"}"]));
        Assert.Equal("go {\"a\": ~", Say(new GivenCallReader("go"), ["{\"a\": "]));
        Assert.Equal("go {} ', {\"na'", Say(new GivenCallReader(null), ["[{\"name\":\"go\",\"arguments\":{}}, {\"na"]));
    }

    [Theory]
    [InlineData("{%- if tools %}<tool_call>{{ tool | tojson }}</tool_call>", ToolCallParser.Hermes)]
    [InlineData("{{ '[TOOL_CALLS]' }}", ToolCallParser.Mistral)]
    [InlineData("'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>'", ToolCallParser.DeepSeekV3)]
    [InlineData("<tool_call>\n<function=a>", ToolCallParser.Qwen3Coder)]
    [InlineData("<tool_call>{{ name }}<arg_key>", ToolCallParser.Glm45)]
    [InlineData("<|tool_call|>", ToolCallParser.Granite)]
    [InlineData("<|start|>assistant<|channel|>final<|message|>", ToolCallParser.Harmony)]
    [InlineData("<function=a>{}</function>", ToolCallParser.None)]
    [InlineData("[INST] {{ message }} [/INST]", ToolCallParser.None)]
    [InlineData(null, ToolCallParser.None)]
    public void A_template_shows_the_format(string? template, ToolCallParser expected) => Assert.Equal(expected, AnswerFormat.Of(template));

    private static string? Content(ToolCallParser parser, string text)
    {
        var reader = Reader(parser);
        return text.Contains("<tool_call>", StringComparison.Ordinal) || (parser == ToolCallParser.Harmony && text.TrimStart().StartsWith("to=", StringComparison.Ordinal))
            ? null
            : string.Concat(reader.Append(text).Concat(reader.Finish()).Select(part => ((ContentPart)part).Text));
    }

    private static IAnswerReader Reader(ToolCallParser parser) => AnswerFormat.Reader(parser, parser == ToolCallParser.Harmony ? ReasoningParser.Harmony : ReasoningParser.None, Tools);

    private static string Read(ToolCallParser parser, IEnumerable<string> pieces) => Say(Reader(parser), pieces);

    internal static string Say(IAnswerReader reader, IEnumerable<string> pieces)
    {
        var said = new List<(char Kind, string Text)>();
        foreach (var part in pieces.SelectMany(reader.Append).ToList().Concat(reader.Finish()))
        {
            var (kind, text) = part switch
            {
                ContentPart content => ('c', content.Text),
                ReasoningPart reasoning => ('r', reasoning.Text),
                CallBegin call => ('t', call.Name + " "),
                CallArguments arguments => ('a', arguments.Text),
                CallEnd end => ('a', end.Whole ? "" : "~"),
                _ => throw new InvalidOperationException(),
            };
            if (kind == 'a')
                said[^1] = ('t', said[^1].Text + text);
            else if (kind != 't' && said.Count > 0 && said[^1].Kind == kind)
                said[^1] = (kind, said[^1].Text + text);
            else
                said.Add((kind, text));
        }

        return string.Join(' ', said.Select(part => part.Kind switch { 'c' => $"'{part.Text}'", 'r' => $"({part.Text})", _ => part.Text }));
    }
}
