using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

/// <summary>Reasoning over the real server, with a model that says what the test wants.</summary>
[Trait("Category", "Component")]
public sealed class ReasoningAnswerTests : IDisposable
{
    private const string Call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
    private const string Tools = """,   "tools":[{"type":"function","function":{"name":"now"}}]""";
    private const string Format = """,  "response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"a":{"enum":["yes","no"]}},"required":["a"],"additionalProperties":false}}}""";
    private const string Opened = """,  "chat_template_kwargs":{"open":"yes"}""";
    private const string Closed = """,  "chat_template_kwargs":{"closed":"yes"}""";

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private async Task<ServerHarness> StartAsync(string says, ReasoningParser parser = ReasoningParser.Auto, ToolCallParser calls = ToolCallParser.Hermes)
    {
        const string template = "{% for m in messages %}{{ m.reasoning_content or '' }}{{ m.content }}{% endfor %}{% if tools %}{% endif %}{% if open %}<think>\n{% endif %}{% if closed %}<think>\n\n</think>\n\n{% endif %}";
        var options = ServerHarness.Options with { ModelDirectory = Fixtures.WithTemplate(_directory, template), ReasoningParser = parser, ToolCallParser = calls };
        return await ServerHarness.StartAsync(options, new ToyModel(blockTokens: 4) { Script = [.. EngineHarness.Tokenizer.Encode(says, false)] });
    }

    private static string Chat(string more = "", string content = "Why?") => $$"""{"model":"toy","messages":[{"role":"user","content":"{{content}}"}],"temperature":0{{more}}}""";

    [Theory]
    [InlineData("<think>\nHm.\n</think>\n\nGood day.", "", "Hm.", "Good day.", "stop")]
    [InlineData("Hm.\n</think>\n\nGood day.", Opened, "Hm.", "Good day.", "stop")]
    [InlineData("Good day.</think>", Closed, null, "Good day.</think>", "stop")]
    [InlineData("Good day.", "", null, "Good day.", "stop")]
    [InlineData("Hm. It is so and so and so and so.</think>Good day.", Opened + ",\"max_tokens\":4", "Hm", null, "length")]
    [InlineData("Hm. STOP here</think>Good day.", Opened + ",\"stop\":\"STOP\"", "Hm.", null, "stop")]
    [InlineData("Hm. " + Call + "</think>\n" + Call, Opened + Tools, "Hm. " + Call, null, "tool_calls")]
    [InlineData("Hm. {</think>\n{\"a\": \"no\"}", Opened + Format, "Hm. {", "{\"a\": \"no\"}", "stop")]
    [InlineData("<think>Hm</think>{\"a\": \"no\"}", Format, "Hm", "{\"a\": \"no\"}", "stop")]
    [InlineData("{\"a\": \"no\"}", Format, null, "{\"a\": \"no\"}", "stop")]
    [InlineData("Hm</think>[{\"name\": \"now\", \"arguments\": {}}]", Opened + Tools + ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false", "Hm", null, "tool_calls")]
    public async Task Reasoning_is_told_from_content_whole_and_streamed(string says, string more, string? reasoning, string? content, string reason)
    {
        await using var harness = await StartAsync(says);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more + ",\"n\":2"));
        Assert.Equal(2, body["choices"]!.AsArray().Count);
        foreach (var choice in body["choices"]!.AsArray())
        {
            var message = choice!["message"]!;
            Assert.StartsWith(reasoning ?? "", (string?)message["reasoning_content"] ?? "", StringComparison.Ordinal);
            Assert.Equal(reasoning is null, message["reasoning_content"] is null);
            Assert.Equal((string?)message["reasoning_content"], (string?)message["reasoning"]);
            Assert.Equal(content, (string?)message["content"]);
            Assert.Equal(reason, (string?)choice["finish_reason"]);
            Assert.Equal(reason == "tool_calls", message["tool_calls"] is not null);
        }

        var whole = body["choices"]![0]!["message"]!;
        var deltas = (await harness.StreamAsync("v1/chat/completions", Chat(more + ",\"stream\":true"))).Select(sent => sent["choices"]![0]!["delta"]!).ToList();
        Assert.Equal((string?)whole["reasoning"] ?? "", string.Concat(deltas.Select(delta => (string?)delta["reasoning"])));
        Assert.Equal((string?)whole["reasoning"] ?? "", string.Concat(deltas.Select(delta => (string?)delta["reasoning_content"])));
        Assert.Equal(content ?? "", string.Concat(deltas.Select(delta => (string?)delta["content"])));
        Assert.True(deltas.Count(delta => delta["reasoning"] is not null) > (reasoning is { Length: > 3 } && !more.Contains("max_tokens", StringComparison.Ordinal) ? 1 : -1));
    }

    [Fact]
    public async Task Without_a_parser_the_section_is_content()
    {
        await using var harness = await StartAsync("<think>Hm.</think>Good day.", ReasoningParser.None);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat());
        Assert.Equal("<think>Hm.</think>Good day.", (string?)body["choices"]![0]!["message"]!["content"]);
        (_, body, _) = await harness.PostAsync("v1/completions", """{"model":"toy","prompt":"<think>","temperature":0,"max_tokens":40}""");
        Assert.Equal("<think>Hm.</think>Good day.", (string?)body["choices"]![0]!["text"]);
    }

    [Fact]
    public async Task Reasoning_that_is_sent_back_reaches_the_template_under_either_name()
    {
        await using var harness = await StartAsync("Good day.");
        var lengths = new List<int>();
        foreach (var field in new[] { "", ",\"reasoning\":\"Hm, so it is.\"", ",\"reasoning_content\":\"Hm, so it is.\"" })
        {
            var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat().Replace("}],", "},{\"role\":\"assistant\",\"content\":\"b\"" + field + "}],", StringComparison.Ordinal));
            lengths.Add((int)body["usage"]!["prompt_tokens"]!);
        }

        Assert.True(lengths[0] < lengths[1]);
        Assert.Equal(lengths[1], lengths[2]);
    }

    [Fact]
    public async Task Formats_that_do_not_go_together_end_the_start() =>
        await Assert.ThrowsAsync<UserInputException>(() => StartAsync("a", ReasoningParser.Harmony));
}
