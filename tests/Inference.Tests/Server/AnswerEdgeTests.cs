using System.Net;
using System.Text.Json.Nodes;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

[Trait("Category", "Component")]
public sealed class AnswerEdgeTests
{
    [Theory]
    [InlineData(false, "ab")]
    [InlineData(true, "abcdef")]
    public async Task What_ends_a_text_is_no_part_of_it_though_the_tokenizer_does_not_call_it_special(bool ignored, string text)
    {
        int[] script = [.. new[] { "ab", "cd", "ef" }.Select(part => Assert.Single(EngineHarness.Tokenizer.Encode(part, false).TakeLast(1)))];
        var spoken = EngineHarness.Tokenizer.Decode([script[0]]) + (ignored ? EngineHarness.Tokenizer.Decode([script[1], script[2]]) : "");
        Assert.NotEmpty(EngineHarness.Tokenizer.Decode([script[1]]));
        Assert.InRange(spoken.Length, 1, text.Length);
        await using var harness = await ServerHarness.StartAsync(model: new ToyModel(blockTokens: 4, end: script[1]) { Script = script });
        var (_, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[5,6,7],"max_tokens":3,"temperature":0,"ignore_eos":{{(ignored ? "true" : "false")}}}""");
        Assert.Equal((spoken, ignored ? "length" : "stop"), ((string?)body["choices"]![0]!["text"], (string?)body["choices"]![0]!["finish_reason"]));
    }

    [Theory]
    [InlineData("", 3, "stop")]
    [InlineData(",\"min_tokens\":4", 6, "length")]
    [InlineData(",\"min_tokens\":3", 4, "stop")]
    public async Task A_stop_text_counts_after_the_least_number_of_tokens(string fields, int tokens, string finish)
    {
        int[] script = [.. new[] { " the", " of", " and", " to", " in", " is" }.Select(word => EngineHarness.Tokenizer.Encode(word, false).Single())];
        await using var harness = await ServerHarness.StartAsync(model: new ToyModel { Script = script });
        var (_, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[5,6,7],"max_tokens":6,"temperature":0,"stop":["d","to"]{{fields}}}""");
        Assert.Equal((tokens, finish), ((int)body["usage"]!["completion_tokens"]!, (string?)body["choices"]![0]!["finish_reason"]));
    }

    [Fact]
    public async Task A_token_that_the_request_names_ends_the_output_and_is_no_part_of_it()
    {
        int[] script = [.. new[] { " the", " of", " and" }.Select(word => EngineHarness.Tokenizer.Encode(word, false).Single())];
        await using var harness = await ServerHarness.StartAsync(model: new ToyModel { Script = script });
        var (_, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[5,6,7],"max_tokens":6,"temperature":0,"stop_token_ids":[{{script[1]}}],"ignore_eos":true}""");
        Assert.Equal((" the", "stop"), ((string?)body["choices"]![0]!["text"], (string?)body["choices"]![0]!["finish_reason"]));
    }

    /// <summary>16 tokens are what an answer has where nobody says how many: it is not the client's number that is too large.</summary>
    [Fact]
    public async Task Without_a_number_of_tokens_a_long_prompt_is_continued_as_far_as_there_is_room()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[{{string.Join(',', Enumerable.Repeat(5, 507))}}],"temperature":0}""");
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal((5, "length"), ((int)body["usage"]!["completion_tokens"]!, (string?)body["choices"]![0]!["finish_reason"]));
        (status, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[{{string.Join(',', Enumerable.Repeat(5, 507))}}],"max_tokens":6}""");
        Assert.Equal((HttpStatusCode.BadRequest, "max_tokens"), (status, (string?)body["error"]!["param"]));
    }

    /// <summary>They are sent piece by piece: what arrives is one object all the same, with what a stream says.</summary>
    [Theory]
    [InlineData("chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"logprobs\":true,\"top_logprobs\":20")]
    [InlineData("completions", "\"prompt\":[5,6,7],\"logprobs\":20")]
    public async Task Log_probabilities_of_a_long_answer_are_those_of_its_stream(string path, string asked)
    {
        await using var harness = await ServerHarness.StartAsync();
        var request = $$"""{"model":"toy","max_tokens":150,"temperature":1,"seed":4,"n":3,{{asked}}}""";
        var (_, body, response) = await harness.PostAsync($"v1/{path}", request);
        Assert.Equal("application/json; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.Equal(["id", "object", "created", "model", "choices", "usage"], body.AsObject().Select(field => field.Key));
        Assert.Equal(450, (int)body["usage"]!["completion_tokens"]!);
        var events = await harness.StreamAsync($"v1/{path}", request.Replace("\"n\"", "\"stream\":true,\"n\"", StringComparison.Ordinal));
        foreach (var choice in body["choices"]!.AsArray())
        {
            var parts = events.Select(part => part["choices"]![0]!).Where(part => (int)part["index"]! == (int)choice!["index"]! && part["logprobs"] is not null).ToList();
            foreach (var (name, list) in choice!["logprobs"]!.AsObject())
            {
                Assert.Equal(150, list!.AsArray().Count);
                Assert.Equal(new JsonArray([.. parts.SelectMany(part => part["logprobs"]![name]!.AsArray()).Select(item => item?.DeepClone())]).ToJsonString(), list.ToJsonString());
            }
        }
    }
}
