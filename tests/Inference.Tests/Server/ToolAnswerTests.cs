using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Tests.Engine;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Server;

/// <summary>Tools over the real server, with a model that says what the test wants.</summary>
[Trait("Category", "Component")]
public sealed class ToolAnswerTests : IDisposable
{
    private const string Template = "{% if tools %}{% endif %}{% for m in messages %}{{ m.content or '' }}{{ m.tool_calls | length if m.tool_calls }}\n{% endfor %}";
    private const string Tools = """[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string","maxLength":8},"days":{"type":"integer","minimum":1,"maximum":9}},"required":["city","days"]}}},{"type":"function","function":{"name":"now"}}]""";
    private const string Call = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Bath\", \"days\": 2}}\n</tool_call>";

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private Task<ServerHarness> StartAsync(string says, ToolCallParser parser = ToolCallParser.Hermes) =>
        ServerHarness.StartAsync(ServerHarness.Options with { ModelDirectory = Fixtures.WithTemplate(_directory, Template), ToolCallParser = parser }, new ToyModel(blockTokens: 4) { Script = [.. EngineHarness.Tokenizer.Encode(says, false)] });

    private static string Chat(string more = "") =>
        """{"model":"toy","messages":[{"role":"user","content":"How is it in Bath?"}],"temperature":0,"tools":TOOLS MORE}""".Replace("TOOLS", Tools, StringComparison.Ordinal).Replace("MORE", more, StringComparison.Ordinal);

    [Fact]
    public async Task A_call_is_a_call_and_the_text_before_it_is_content()
    {
        await using var harness = await StartAsync("I shall look.\n" + Call + "\n" + Call.Replace("Bath", "Ulm", StringComparison.Ordinal));
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat());
        var choice = body["choices"]![0]!;
        Assert.Equal("tool_calls", (string?)choice["finish_reason"]);
        Assert.Equal("I shall look.", (string?)choice["message"]!["content"]);
        var calls = choice["message"]!["tool_calls"]!.AsArray();
        Assert.Equal(2, calls.Count);
        Assert.Equal("function", (string?)calls[0]!["type"]);
        Assert.Equal("get_weather", (string?)calls[0]!["function"]!["name"]);
        Assert.Equal("Ulm", (string?)JsonNode.Parse((string)calls[1]!["function"]!["arguments"]!)!["city"]);
        Assert.Null(calls[0]!["index"]);
        Assert.NotEqual((string?)calls[0]!["id"], (string?)calls[1]!["id"]);
    }

    [Fact]
    public async Task A_turn_with_calls_and_results_goes_on()
    {
        await using var harness = await StartAsync(Call);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat());
        var message = body["choices"]![0]!["message"]!;
        Assert.Null(message["content"]);
        var (status, _, _) = await harness.PostAsync("v1/chat/completions", Chat().Replace("}],\"temperature\"", $"}},{message.ToJsonString()},{{\"role\":\"tool\",\"tool_call_id\":{message["tool_calls"]![0]!["id"]!.ToJsonString()},\"content\":\"mild\"}}],\"temperature\"", StringComparison.Ordinal));
        Assert.Equal(System.Net.HttpStatusCode.OK, status);
    }

    [Fact]
    public async Task A_stream_has_no_part_of_a_call_as_content()
    {
        await using var harness = await StartAsync("So <b>.\n" + Call + Call);
        var events = await harness.StreamAsync("v1/chat/completions", Chat(",\"stream\":true,\"logprobs\":true"));
        var choices = events.Select(sent => sent["choices"]![0]!).ToList();
        Assert.Equal("So <b>.", string.Concat(choices.Select(choice => (string?)choice["delta"]!["content"])));
        var pieces = choices.SelectMany(choice => choice["delta"]!["tool_calls"]?.AsArray() ?? []).ToList();
        foreach (var index in new[] { 0, 1 })
        {
            var own = pieces.Where(piece => (int)piece!["index"]! == index).ToList();
            // What is called first, and then with what, as it is written.
            Assert.Equal(("function", "get_weather", ""), ((string?)own[0]!["type"], (string?)own[0]!["function"]!["name"], (string?)own[0]!["function"]!["arguments"]));
            Assert.Equal(9, ((string)own[0]!["id"]!).Length);
            Assert.All(own.Skip(1), piece => Assert.Equal(["index", "function"], piece!.AsObject().Select(field => field.Key)));
            Assert.True(own.Count > 3);
            Assert.Equal("{\"city\": \"Bath\", \"days\": 2}", string.Concat(own.Select(piece => (string?)piece!["function"]!["arguments"])));
        }

        Assert.Equal("tool_calls", (string?)choices[^1]["finish_reason"]);
        Assert.All(choices.SkipLast(1), choice => Assert.Null(choice["finish_reason"]));
        // What is held back is held back as text only: every token is told of.
        Assert.Equal(harness.Model.Script!.Count + 1, choices.Sum(choice => choice["logprobs"]?["content"]?.AsArray().Count ?? 0));
    }

    [Theory]
    [InlineData("", "")]
    [InlineData(",\"tool_choice\":\"none\"", Call)]
    [InlineData(",\"max_tokens\":8", "<tool_call>")]
    [InlineData(",\"response_format\":{\"type\":\"text\"}", "")]
    public async Task What_is_not_a_call_that_was_asked_for_stays_content(string more, string begins)
    {
        await using var harness = await StartAsync(Call);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more));
        var message = body["choices"]![0]!["message"]!;
        if (begins.Length == 0)
            Assert.NotNull(message["tool_calls"]);
        else
            Assert.Null(message["tool_calls"]);
        Assert.StartsWith(begins, (string?)message["content"] ?? "", StringComparison.Ordinal);
        Assert.Equal(begins.Length == 0 ? "tool_calls" : more.Contains("max_tokens", StringComparison.Ordinal) ? "length" : "stop", (string?)body["choices"]![0]!["finish_reason"]);
    }

    [Fact]
    public async Task Without_tools_a_call_is_text()
    {
        await using var harness = await StartAsync(Call);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"temperature":0}""");
        Assert.Equal(Call, (string?)body["choices"]![0]!["message"]!["content"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_call_at_a_time_ends_the_turn_with_it(bool stream)
    {
        await using var harness = await StartAsync(Call + "\n" + Call + string.Concat(Enumerable.Repeat(" and so on", 60)));
        const string more = ",\"parallel_tool_calls\":false";
        if (stream)
        {
            var choices = (await harness.StreamAsync("v1/chat/completions", Chat(more + ",\"stream\":true"))).Select(sent => sent["choices"]![0]!).ToList();
            Assert.Single(choices, choice => choice["delta"]!["tool_calls"]?[0]!["id"] is not null);
            Assert.Equal("tool_calls", (string?)choices[^1]["finish_reason"]);
            Assert.Equal("", string.Concat(choices.Select(choice => (string?)choice["delta"]!["content"])));
        }
        else
        {
            var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more + ",\"logprobs\":true"));
            // What the model wrote behind it, until it was stopped, counts for nobody.
            Assert.Equal(body["choices"]![0]!["logprobs"]!["content"]!.AsArray().Count, (int)body["usage"]!["completion_tokens"]!);
            Assert.Single(body["choices"]![0]!["message"]!["tool_calls"]!.AsArray());
            Assert.Null(body["choices"]![0]!["message"]!["content"]);
            Assert.Equal("tool_calls", (string?)body["choices"]![0]!["finish_reason"]);
        }

        await Eventually.TrueAsync(async () => (await harness.GetAsync("metrics")).Contains("finished_reason=\"stop\"} 1", StringComparison.Ordinal));
        Assert.DoesNotContain("finished_reason=\"abort\"} 1", await harness.GetAsync("metrics"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"required\"", false)]
    [InlineData("\"required\"", true)]
    [InlineData("""{"type":"function","function":{"name":"get_weather"}}""", false)]
    [InlineData("""{"type":"function","function":{"name":"now"}}""", true)]
    public async Task A_call_that_is_asked_for_is_made_under_its_schema(string choice, bool stream)
    {
        // The hash wants anything: only the grammar makes calls of it.
        await using var harness = await ServerHarness.StartAsync();
        var more = $",\"parallel_tool_calls\":false,\"tool_choice\":{choice},\"stream\":{(stream ? "true" : "false")}";
        List<JsonNode?> calls;
        if (stream)
        {
            var choices = (await harness.StreamAsync("v1/chat/completions", Chat(more))).Select(sent => sent["choices"]![0]!).ToList();
            calls = [Joined(choices)];
            Assert.Equal("tool_calls", (string?)choices[^1]["finish_reason"]);
        }
        else
        {
            var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more));
            calls = [.. body["choices"]![0]!["message"]!["tool_calls"]!.AsArray()];
            Assert.Equal("tool_calls", (string?)body["choices"]![0]!["finish_reason"]);
        }

        var function = Assert.Single(calls)!["function"]!;
        using var arguments = JsonDocument.Parse((string)function["arguments"]!);
        if ((string?)function["name"] == "get_weather")
            Assert.InRange(arguments.RootElement.GetProperty("days").GetInt32(), 1, 9);
        else
            Assert.Equal("now {}", $"{function["name"]} {arguments.RootElement.GetRawText()}");
        Assert.Contains((string?)function["name"], choice == "\"required\"" ? ["get_weather", "now"] : new[] { (string?)JsonNode.Parse(choice)!["function"]!["name"] });
    }

    [Theory]
    [InlineData(",\"max_tokens\":90", "length")]
    [InlineData(",\"max_tokens\":90,\"parallel_tool_calls\":false", "length")]
    [InlineData(",\"stop\":\"days\"", "stop")]
    public async Task A_call_that_is_cut_off_is_told_of_as_far_as_it_goes(string more, string reason)
    {
        await using var harness = await StartAsync("Yes. " + Call.Replace("Bath", "Bath" + new string('x', 200), StringComparison.Ordinal));
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more));
        var choice = body["choices"]![0]!;
        Assert.Equal((reason, "Yes."), ((string?)choice["finish_reason"], (string?)choice["message"]!["content"]));
        var function = Assert.Single(choice["message"]!["tool_calls"]!.AsArray())!["function"]!;
        Assert.Equal("get_weather", (string?)function["name"]);
        Assert.StartsWith("{\"city\": \"Bathxxx", (string?)function["arguments"], StringComparison.Ordinal);
        Assert.ThrowsAny<JsonException>(() => JsonDocument.Parse((string)function["arguments"]!));
        var choices = (await harness.StreamAsync("v1/chat/completions", Chat(more + ",\"stream\":true"))).Select(sent => sent["choices"]![0]!).ToList();
        Assert.Equal((string?)function["arguments"], (string?)Joined(choices)["function"]!["arguments"]);
        Assert.Equal(reason, (string?)choices[^1]["finish_reason"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_call_in_which_the_model_fails_is_a_failure(bool stream)
    {
        await using var harness = await StartAsync(Call.Replace("Bath", "Bath" + new string('x', 200), StringComparison.Ordinal));
        harness.Model.BeforeStep = _ =>
        {
            if (harness.Model.Computed > 120)
                throw new InvalidOperationException("the model fails");
        };
        const string more = ",\"parallel_tool_calls\":false";
        if (stream)
        {
            var events = await harness.StreamAsync("v1/chat/completions", Chat(more + ",\"stream\":true"));
            Assert.Equal("server_error", (string?)events[^1]["error"]!["type"]);
            Assert.NotNull(events[^2]["choices"]![0]!["delta"]!["tool_calls"]);
        }
        else
        {
            var (status, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more));
            Assert.Equal((500, "server_error"), ((int)status, (string?)body["error"]?["type"]));
        }
    }

    [Fact]
    public async Task A_tool_whose_schema_has_too_many_readings_is_named_as_such()
    {
        await using var harness = await StartAsync("a");
        var alternatives = string.Join(',', Enumerable.Range(1, 3000).Select(length => $"{{\"type\":\"string\",\"maxLength\":{length}}}"));
        var tool = """{"type":"function","function":{"name":"many","parameters":{"type":"object","properties":{"a":{"anyOf":[ALTERNATIVES]}},"required":["a"]}}}""".Replace("ALTERNATIVES", alternatives, StringComparison.Ordinal);
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", $$"""{"model":"toy","messages":[{"role":"user","content":"a"}],"max_tokens":300,"seed":7,"tools":[{{tool}}],"tool_choice":"required"}""");
        Assert.Equal((400, "tools"), ((int)status, (string?)body["error"]!["param"]));
    }

    [Fact]
    public async Task An_argument_that_stands_twice_is_passed_on_whole_and_streamed()
    {
        await using var harness = await StartAsync(Call.Replace("\"days\": 2", "\"days\": 2, \"days\": 3", StringComparison.Ordinal));
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat());
        var arguments = (string?)body["choices"]![0]!["message"]!["tool_calls"]![0]!["function"]!["arguments"];
        Assert.Equal("{\"city\": \"Bath\", \"days\": 2, \"days\": 3}", arguments);
        var choices = (await harness.StreamAsync("v1/chat/completions", Chat(",\"stream\":true"))).Select(sent => sent["choices"]![0]!).ToList();
        Assert.Equal(arguments, (string?)Joined(choices)["function"]!["arguments"]);
    }

    /// <summary>The one call of a stream.</summary>
    private static JsonNode Joined(IEnumerable<JsonNode> choices)
    {
        var pieces = choices.SelectMany(sent => sent["delta"]!["tool_calls"]?.AsArray() ?? []).ToList();
        Assert.Single(pieces, piece => piece!["id"] is not null);
        var call = pieces[0]!.DeepClone();
        call["function"]!["arguments"] = string.Concat(pieces.Select(piece => (string?)piece!["function"]!["arguments"]));
        return call;
    }

    [Theory]
    [InlineData(",\"tool_choice\":\"must\"", "tool_choice")]
    [InlineData(",\"tool_choice\":{\"type\":\"allowed_tools\"}", "tool_choice.type")]
    [InlineData(",\"tool_choice\":{\"function\":{\"name\":\"now\"}}", "tool_choice.type")]
    [InlineData(",\"tool_choice\":{\"type\":\"function\"}", "tool_choice.function")]
    [InlineData(",\"tool_choice\":{\"type\":\"function\",\"function\":{}}", "tool_choice.function.name")]
    [InlineData(",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"x\"}}", "tool_choice")]
    [InlineData(",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"now\",\"strict\":true}}", "tool_choice.function.strict")]
    [InlineData(",\"tool_choice\":\"required\",\"response_format\":{\"type\":\"json_object\"}", "response_format")]
    [InlineData(",\"tool_choice\":\"required\",\"ignore_eos\":true", "ignore_eos")]
    [InlineData(",\"parallel_tool_calls\":1", "parallel_tool_calls")]
    public async Task A_wrong_wish_is_answered_with_the_parameter(string more, string param)
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more));
        Assert.Equal(400, (int)status);
        Assert.Equal(param, (string?)body["error"]!["param"]);
    }

    [Theory]
    [InlineData("""{"type":"array"}""", "tools[0].function.parameters.type")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string","pattern":"^a+$"}}}""", "tools[0].function.parameters")]
    public async Task A_schema_that_cannot_be_kept_is_refused_where_it_has_to_be(string schema, string param)
    {
        await using var harness = await StartAsync("Good.");
        var request = """{"model":"toy","messages":[{"role":"user","content":"a"}],"temperature":0,"tools":[{"type":"function","function":{"name":"f","parameters":SCHEMA}}],"tool_choice":"CHOICE"}""".Replace("SCHEMA", schema, StringComparison.Ordinal);
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", request.Replace("CHOICE", "required", StringComparison.Ordinal));
        Assert.Equal(400, (int)status);
        Assert.Equal(param, (string?)body["error"]!["param"]);
        (_, body, _) = await harness.PostAsync("v1/chat/completions", request.Replace("CHOICE", "auto", StringComparison.Ordinal));
        Assert.Equal("Good.", (string?)body["choices"]![0]!["message"]!["content"]);
    }

    [Fact]
    public async Task Markers_that_are_control_tokens_are_seen_by_the_parser_and_by_nobody_else()
    {
        using var directory = new TemporaryDirectory();
        foreach (var file in new[] { "tokenizer.json", "tokenizer_config.json" })
            await File.WriteAllTextAsync(Path.Combine(directory.Path, file), (await File.ReadAllTextAsync(Path.Combine(Fixtures.Model, file), TestContext.Current.CancellationToken)).Replace("<|im_start|>", "<|channel|>", StringComparison.Ordinal).Replace("<|im_end|>", "<|message|>", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(Path.Combine(directory.Path, "chat_template.jinja"), "{{ messages[-1].content }}{# <|channel|> #}", TestContext.Current.CancellationToken);
        var script = Tokenizer.Load(directory.Path).Encode("<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Good day.", false);
        Assert.Equal(4, script.Count(token => token is 1 or 2));
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { ModelDirectory = directory.Path }, new ToyModel(blockTokens: 4) { Script = [.. script] });
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"temperature":0}""");
        var message = body["choices"]![0]!["message"]!;
        Assert.Equal(("Hm.", "Good day."), ((string?)message["reasoning_content"], (string?)message["content"]));
        (_, body, _) = await harness.PostAsync("v1/completions", """{"model":"toy","prompt":"a","temperature":0,"max_tokens":40}""");
        Assert.Equal("analysisHm.finalGood day.", (string?)body["choices"]![0]!["text"]);
    }
}
