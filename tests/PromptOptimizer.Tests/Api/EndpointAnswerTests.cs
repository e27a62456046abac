using System.Text.Json.Nodes;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>What endpoints answer that call themselves OpenAI-compatible, and what broken ones do.</summary>
public sealed class EndpointAnswerTests : ScriptedServiceTests
{
    /// <summary>Each of these fails the OpenAI client library.</summary>
    [Theory]
    [InlineData("choices[0].finish_reason", "\"eos\"")]
    [InlineData("choices[0].finish_reason", "\"\"")]
    [InlineData("choices[0].finish_reason", "null")]
    [InlineData("created", "1.5")]
    [InlineData("usage", """{"prompt_tokens": null, "completion_tokens": null, "total_tokens": null}""")]
    [InlineData("choices[0].message.tool_calls", """[{"id": "1", "type": "", "function": {"name": "f", "arguments": ""}}]""")]
    public async Task A_field_that_nothing_depends_on_may_hold_anything(string field, string value)
    {
        Answer((_, answer) =>
        {
            var parent = field.Contains("message", StringComparison.Ordinal) ? answer["choices"]![0]!["message"]! : field.StartsWith("choices", StringComparison.Ordinal) ? answer["choices"]![0]! : answer;
            parent[field.Split('.')[^1]] = JsonNode.Parse(value);
        });
        await using var service = await StartAsync();
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = Lion }))["state"]);
    }

    [Fact]
    public async Task An_answer_in_parts_is_read_without_what_the_model_thought()
    {
        Answer((content, answer) => answer["choices"]![0]!["message"]!["content"] = new JsonArray(
            new JsonObject { ["type"] = "thinking", ["thinking"] = "perhaps {\"a\": 1}" }, new JsonObject { ["type"] = "text", ["text"] = content }));
        await using var service = await StartAsync();
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = Lion }))["state"]);
    }

    [Theory]
    [InlineData("""{"error": {"message": "the model is gone"}}""", 200, "languageModel: the answer has no choices[0].message: the model is gone")]
    [InlineData("""{"choices": []}""", 200, "languageModel: the answer has no choices[0].message")]
    [InlineData("<html>down</html>", 200, "languageModel: the answer is not JSON")]
    [InlineData("", 200, "languageModel: the answer is not JSON")]
    [InlineData("""{"object": "error", "message": "no such model", "code": 404}""", 404, "languageModel: HTTP 404: no such model")]
    [InlineData("""{"error": "no such model"}""", 404, "languageModel: HTTP 404: no such model")]
    [InlineData("<html>gone</html>", 404, "languageModel: HTTP 404")]
    [InlineData("""{"error": {"message": "half \ud800"}}""", 404, "languageModel: HTTP 404")]
    public async Task What_is_wrong_is_told_in_the_endpoints_words_where_it_has_any(string body, int status, string message)
    {
        Model.Override = (_, _) => Reply(new(body, status) { Raw = "application/json" });
        await using var service = await StartAsync();
        var failure = (await service.RunAsync(new { prompt = Lion }))["failure"]!;
        Assert.Equal("ModelRejected", (string?)failure["reason"]);
        Assert.Equal(message, (string?)failure["message"]);
    }

    [Theory]
    [InlineData("This model's maximum context length is 2048 tokens. However, you requested 2120 tokens.")]
    [InlineData("Requested token count exceeds the model's maximum context length of 2048 tokens.")]
    public async Task A_context_that_is_too_short_is_understood_from_an_error_at_the_top(string message)
    {
        Model.Override = (call, _) => Reply(call.Body.ContainsKey("max_completion_tokens") ? new(new JsonObject { ["object"] = "error", ["message"] = message, ["code"] = 400 }.ToJsonString(), 400) { Raw = "application/json" } : null);
        await using var service = await StartAsync();
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = Lion }))["state"]);
    }

    [Fact]
    public async Task A_cut_in_an_endpoints_words_parts_no_letter()
    {
        Model.Override = (_, _) => Reply(new(new string('x', 199) + "\U0001F600 no", 404));
        await using var service = await StartAsync();
        Assert.Equal($"languageModel: HTTP 404: {new string('x', 199)}...", (string?)(await service.RunAsync(new { prompt = Lion }))["failure"]!["message"]);
    }

    /// <summary>Whoever hands jobs in need not know the key.</summary>
    [Theory]
    [InlineData(401, "Invalid token 'k-1234567890'.")]
    [InlineData(200, "Invalid token 'k-1234567890'.")]
    [InlineData(503, "Invalid token 'k-1234567890'.")]
    [InlineData(401, "_________________________________________________________________________________________________________________________________________________________________________________________________k-1234567890")]
    public async Task A_key_that_an_endpoint_repeats_is_told_to_nobody(int status, string words)
    {
        Model.Override = (call, _) => Reply(new(new JsonObject { ["error"] = new JsonObject { ["message"] = words } }.ToJsonString(), status) { Raw = "application/json" });
        await using var service = await StartAsync(environment: name => name == "MOEBIUS_LLM_API_KEY" ? "k-1234567890" : null);
        var message = (string?)(await service.RunAsync(new { prompt = Lion }))["failure"]!["message"];
        Assert.DoesNotContain("k-1234", message, StringComparison.Ordinal);
        // The words may be cut after it begins.
        Assert.Contains("[the k", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_models_key_is_in_no_note()
    {
        Model.Override = (call, _) => Reply(call.Agent == "image" ? new("refused for k-1234567890", 400) : null);
        await using var service = await StartAsync(ImageModel(), name => name == "MOEBIUS_IMAGE_API_KEY" ? "k-1234567890" : null);
        Assert.Equal("no image: imageModel.endpoint: HTTP 400: refused for [the key]; judged by its text", (string?)(await service.RunAsync(new { prompt = Lion }))["rounds"]![0]!["notes"]![0]);
    }

    [Fact]
    public async Task An_answer_without_end_is_not_read_to_it()
    {
        Model.Override = (_, _) => Reply(new(new string('x', 9 * 1024 * 1024)) { Raw = "application/json" });
        await using var service = await StartAsync();
        var failure = (await service.RunAsync(new { prompt = Lion }))["failure"]!;
        Assert.Equal("languageModel: the answer is larger than 8388608 bytes", (string?)failure["message"]);
        Assert.Equal(1, Model.Count("intent-inference"));
    }

    [Fact]
    public async Task A_large_answer_to_a_call_that_failed_does_not_hide_that_it_may_be_tried_again()
    {
        Model.Override = (call, _) => Reply(call is { Agent: "intent-inference", Number: 1 } ? new(new string('x', 9 * 1024 * 1024), 503) { Raw = "text/html" } : null);
        await using var service = await StartAsync();
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = Lion }))["state"]);
    }

    [Theory]
    [InlineData("refusal", "I will not", "stop")]
    [InlineData("content", null, "content_filter")]
    public async Task A_refusal_is_called_one(string field, string? text, string finish)
    {
        Answer((_, answer) =>
        {
            answer["choices"]![0]!["finish_reason"] = finish;
            answer["choices"]![0]!["message"]!["content"] = null;
            answer["choices"]![0]!["message"]![field] = text;
        });
        await using var service = await StartAsync();
        Assert.Contains("refused to answer, or a filter", (string?)(await service.RunAsync(new { prompt = Lion }))["failure"]!["message"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"number\":1,", "\"number\":99999999999999999999999999999999999999,")]
    [InlineData("{\"elements\"", "{\"\\ud800\":1,\"elements\"")]
    public async Task An_answer_that_no_parser_takes_is_an_invalid_one(string part, string instead)
    {
        Answer((content, answer) => answer["choices"]![0]!["message"]!["content"] = content.Replace(part, instead, StringComparison.Ordinal));
        await using var service = await StartAsync();
        var failure = (await service.RunAsync(new { prompt = Lion }))["failure"]!;
        Assert.Equal("InvalidModelOutput", (string?)failure["reason"]);
    }

    [Fact]
    public async Task One_prompt_does_not_change_how_the_others_are_asked()
    {
        Model.Override = (call, _) => Reply(call.Agent == "no-format" || ((string?)call.Input["request"])?.Contains("response_format", StringComparison.Ordinal) == true
            ? new("refused: 'a response_format with teeth'", 400) : null);
        await using var service = await StartAsync();
        Assert.Equal("ModelRejected", (string?)(await service.RunAsync(new { prompt = "a response_format with teeth" }))["failure"]!["reason"]);
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = Lion }))["state"]);
    }

    [Fact]
    public async Task Counts_that_no_answer_has_do_not_give_a_job_more_tokens()
    {
        Answer((content, answer) =>
        {
            answer["usage"] = new JsonObject { ["prompt_tokens"] = int.MaxValue - 1, ["completion_tokens"] = int.MaxValue - 1, ["total_tokens"] = 1 };
            answer["choices"]![0]!["message"]!["content"] = "prose";
        });
        await using var service = await StartAsync();
        var job = await service.RunAsync(new { prompt = Lion });
        Assert.Equal("TokensUsed", (string?)job["failure"]!["reason"]);
        Assert.Equal(2L * (int.MaxValue - 1), (long)job["usage"]!["tokens"]!);
        Assert.Equal(1, Model.Count("intent-inference"));
    }

    [Theory]
    [InlineData("application/json; charset=utf8")]
    [InlineData("text/plain")]
    public async Task An_image_is_read_whatever_its_answer_calls_itself(string type)
    {
        Model.Override = (call, _) => Reply(call.Agent == "image" ? new($$"""{"data": [{"b64_json": "{{ScriptedEndpoint.Pixel}}"}]}""") { Raw = type } : null);
        await using var service = await StartAsync(ImageModel());
        Assert.NotNull((await service.RunAsync(new { prompt = Lion }))["rounds"]![0]!["imageUrl"]);
        // Simple servers take no body whose length is not told.
        Assert.All(Model.Calls, call => Assert.NotNull(call.Length));
    }

    [Fact]
    public async Task An_image_that_is_too_large_is_called_that_and_not_made_again()
    {
        Model.Override = (call, _) => Reply(call.Agent == "image" ? new($$"""{"data": [{"b64_json": "{{new string('A', 65 * 1024 * 1024)}}"}]}""") { Raw = "application/json" } : null);
        await using var service = await StartAsync(ImageModel());
        Assert.Equal("imageModel.endpoint: the answer is larger than 67108864 bytes: ask for a smaller image with imageModel.size", (string?)(await service.RunAsync(new { prompt = Lion }))["failure"]!["message"]);
        Assert.Equal(1, Model.Count("image"));
    }

    private string ImageModel() => $"imageModel: {{ api: OpenAI, endpoint: {{ url: \"{Model.Url}\", model: scripted }} }}";

    /// <summary>Answers by the script, in a completion that is changed; the content of the message is given along.</summary>
    private void Answer(Action<string, JsonObject> change) => Model.Override = (call, _) =>
    {
        var content = ScriptedEndpoint.Script(call.Agent, call.Input).ToJsonString();
        var answer = new JsonObject
        {
            ["id"] = "scripted",
            ["object"] = "chat.completion",
            ["created"] = 0,
            ["model"] = "scripted",
            ["choices"] = new JsonArray(new JsonObject { ["index"] = 0, ["finish_reason"] = "stop", ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = content } }),
            ["usage"] = new JsonObject { ["prompt_tokens"] = 50, ["completion_tokens"] = 50, ["total_tokens"] = 100 },
        };
        change(content, answer);
        return Reply(new(answer.ToJsonString()) { Raw = "application/json" });
    };

    private static Task<ScriptedReply?> Reply(ScriptedReply? reply) => Task.FromResult(reply);
}
