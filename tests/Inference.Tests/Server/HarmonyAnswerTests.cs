using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Tests.Engine;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Server;

/// <summary>Answers in channels that a grammar keeps, over the real server: channels are control tokens, as in gpt-oss' vocabulary.</summary>
[Trait("Category", "Component")]
public sealed class HarmonyAnswerTests : IDisposable
{
    private const string Analysis = "<|channel|>analysis<|message|>Hm. {\n<|end|><|start|>assistant";
    private const string Final = "<|channel|>final<|message|>";
    private const string Tools = """,  "tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"city":{"type":"string","maxLength":30}},"required":["city"]}}},{"type":"function","function":{"name":"now"}}],"tool_choice":""";
    private const string Required = Tools + "\"required\"";
    private const string Look = Tools + """{"type":"function","function":{"name":"look"}}""";
    private const string Format = """,  "response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"a":{"type":"string","maxLength":40}},"required":["a"],"additionalProperties":false}}}""";

    /// <summary>Words of the vocabulary that become control tokens.</summary>
    private static readonly (string Word, string Marker)[] Replaced =
    [
        ("ĠDaniel", "<|start|>"), ("Ġdrawn", "<|channel|>"), ("Ġstraight", "<|constrain|>"), ("Ġmessengers", "<|message|>"), ("ele", "<|end|>"), ("Take", "<|call|>"), ("Ġaccepted", "<|return|>"),
    ];

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(Analysis + Final + "{\"a\": \"no\"}", Format, true, "{\"a\": \"no\"}", null)]
    [InlineData(Final + "{\"a\": \"no\"}", Format, false, "{\"a\": \"no\"}", null)]
    [InlineData("<|channel|>final <|constrain|>json<|message|>{\"a\": \"no\"}", Format, false, "{\"a\": \"no\"}", null)]
    [InlineData(Final + "{\"a\": \"<|·end|> <|·channel|>\"}", Format, false, "{\"a\": \"<|end|> <|channel|>\"}", null)]
    [InlineData(Analysis + "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}", Required, true, null, "now {}")]
    [InlineData(Analysis + " to=functions.look<|channel|>commentary json<|message|>{\"city\": \"Bath\"}", Required, true, null, "look {\"city\": \"Bath\"}")]
    [InlineData("<|channel|>commentary to=functions.look<|message|>{\"city\": \"Bath<|·call|>\"}", Look, false, null, "look {\"city\": \"Bath<|call|>\"}")]
    public async Task The_last_message_keeps_to_its_grammar_and_reasoning_is_free(string says, string more, bool reasons, string? content, string? call)
    {
        await using var harness = await StartAsync(says);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(more));
        var message = body["choices"]![0]!["message"]!;
        Assert.Equal((reasons ? "Hm. {\n" : null, content), ((string?)message["reasoning_content"], (string?)message["content"]));
        var function = message["tool_calls"]?[0]!["function"];
        Assert.Equal(call, function is null ? null : $"{function["name"]} {function["arguments"]}");
        Assert.Equal(call is null ? "stop" : "tool_calls", (string?)body["choices"]![0]!["finish_reason"]);

        var deltas = (await harness.StreamAsync("v1/chat/completions", Chat(more + ",\"stream\":true"))).Select(sent => sent["choices"]![0]!["delta"]!).ToList();
        Assert.Equal(reasons ? "Hm. {\n" : "", string.Concat(deltas.Select(delta => (string?)delta["reasoning_content"])));
        Assert.Equal(content ?? "", string.Concat(deltas.Select(delta => (string?)delta["content"])));
        Assert.Equal((string?)function?["arguments"] ?? "", string.Concat(deltas.Select(delta => (string?)delta["tool_calls"]?[0]!["function"]!["arguments"])));
    }

    [Fact]
    public async Task No_control_token_stands_in_what_keeps_to_a_grammar()
    {
        await using var harness = await StartAsync(Final + "{\"a\": \"<|end|><|channel|>");
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(Format));
        var content = (string)body["choices"]![0]!["message"]!["content"]!;
        Assert.Equal(JsonValueKind.String, JsonNode.Parse(content)!["a"]!.GetValueKind());
    }

    [Fact]
    public async Task Reasoning_that_meets_the_limit_is_all_there_is()
    {
        await using var harness = await StartAsync(Analysis + Final);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(Format + ",\"max_tokens\":12"));
        var choice = body["choices"]![0]!;
        Assert.Equal(("length", null), ((string?)choice["finish_reason"], (string?)choice["message"]!["content"]));
        Assert.StartsWith("Hm", (string?)choice["message"]!["reasoning_content"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_parser_for_it_there_is_no_room_for_reasoning()
    {
        await using var harness = await StartAsync(Final + "{\"a\": \"no\"}", ReasoningParser.None);
        var (_, body, _) = await harness.PostAsync("v1/chat/completions", Chat(Format));
        Assert.Equal("{\"a\": \"no\"}", (string?)body["choices"]![0]!["message"]!["content"]);
    }

    [Fact]
    public async Task A_name_that_no_header_can_hold_is_refused()
    {
        await using var harness = await StartAsync(Final);
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", Chat(Required.Replace("\"now\"", "\"what now\"", StringComparison.Ordinal)));
        Assert.Equal((System.Net.HttpStatusCode.BadRequest, "tools"), (status, (string?)body["error"]!["param"]));
    }

    private static string Chat(string more) => $$"""{"model":"toy","messages":[{"role":"user","content":"Why?"}],"temperature":0{{more}}}""";

    private async Task<ServerHarness> StartAsync(string says, ReasoningParser reasoning = ReasoningParser.Auto)
    {
        var cancel = TestContext.Current.CancellationToken;
        var tokenizer = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Fixtures.Model, "tokenizer.json"), cancel))!;
        var (vocabulary, merges) = (tokenizer["model"]!["vocab"]!.AsObject(), tokenizer["model"]!["merges"]!.AsArray());
        foreach (var (word, marker) in Replaced)
        {
            var id = (int)vocabulary[word]!;
            vocabulary.Remove(word);
            vocabulary[marker] = id;
            merges.RemoveAll(pair => (string)pair![0]! + (string)pair[1]! == word);
            tokenizer["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = id, ["content"] = marker, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true });
        }

        await File.WriteAllTextAsync(Path.Combine(_directory.Path, "tokenizer.json"), tokenizer.ToJsonString(), cancel);
        File.Copy(Path.Combine(Fixtures.Model, "tokenizer_config.json"), Path.Combine(_directory.Path, "tokenizer_config.json"));
        await File.WriteAllTextAsync(Path.Combine(_directory.Path, "chat_template.jinja"), "{# <|channel|> #}{% for m in messages %}{{ m.content }}{% endfor %}<|start|>assistant", cancel);
        // A dot keeps a marker from becoming a control token.
        var own = Tokenizer.Load(_directory.Path);
        return await ServerHarness.StartAsync(
            ServerHarness.Options with { ModelDirectory = _directory.Path, ReasoningParser = reasoning },
            new ToyModel(blockTokens: 4) { Script = [.. says.Split('·').SelectMany(part => own.Encode(part, false))] });
    }
}
