using System.Text.Json.Nodes;

namespace Moebius.Inference.Tests.Server;

/// <summary>What a server refuses, all of it sent to one server: nothing of a refused request is left for the next.</summary>
[Trait("Category", "Component")]
public sealed class BadRequestTests(ToyServer server) : IClassFixture<ToyServer>
{
    private readonly ServerHarness _harness = server.Harness;

    [Theory]
    [InlineData("completions", """{"model":"toy"}""", 400, "prompt")]
    [InlineData("completions", """{"prompt":"a"}""", 400, "model")]
    [InlineData("completions", """{"model":"other","prompt":"a"}""", 404, "model")]
    [InlineData("completions", """{"model":7,"prompt":"a"}""", 400, "model")]
    [InlineData("completions", """{"model":"toy","prompt":5}""", 400, "prompt")]
    [InlineData("completions", """{"model":"toy","prompt":""}""", 400, "prompt")]
    [InlineData("completions", """{"model":"toy","prompt":[]}""", 400, "prompt")]
    [InlineData("completions", """{"model":"toy","prompt":[1,-2]}""", 400, "prompt[1]")]
    [InlineData("completions", """{"model":"toy","prompt":[1,99999]}""", 400, "prompt[1]")]
    [InlineData("completions", """{"model":"toy","prompt":["a",{}]}""", 400, "prompt[1]")]
    [InlineData("completions", """{"model":"toy","prompt":"a","max_tokens":-1}""", 400, "max_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","max_tokens":1.5}""", 400, "max_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","max_tokens":"9"}""", 400, "max_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","max_tokens":600}""", 400, "max_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","n":1000000}""", 400, "n")]
    [InlineData("completions", """{"model":"toy","prompt":"a","n":0}""", 400, "n")]
    [InlineData("completions", """{"model":"toy","prompt":"a","temperature":-0.1}""", 400, "temperature")]
    [InlineData("completions", """{"model":"toy","prompt":"a","temperature":1e999}""", 400, "temperature")]
    [InlineData("completions", """{"model":"toy","prompt":"a","top_p":0}""", 400, "top_p")]
    [InlineData("completions", """{"model":"toy","prompt":"a","stop":[1]}""", 400, "stop[0]")]
    [InlineData("completions", """{"model":"toy","prompt":"a","stop":""}""", 400, "stop")]
    [InlineData("completions", """{"model":"toy","prompt":"a","stream":"yes"}""", 400, "stream")]
    [InlineData("completions", """{"model":"toy","prompt":"a","stream_options":{"include_usage":true}}""", 400, "stream_options")]
    [InlineData("completions", """{"model":"toy","prompt":"a","logit_bias":{"x":1}}""", 400, "logit_bias")]
    [InlineData("completions", """{"model":"toy","prompt":"a","logit_bias":{"1":200}}""", 400, "logit_bias.1")]
    [InlineData("completions", """{"model":"toy","prompt":"a","logit_bias":{"1":null}}""", 400, "logit_bias.1")]
    [InlineData("completions", """{"model":"toy","prompt":"a","seed":"x"}""", 400, "seed")]
    [InlineData("completions", """{"model":"toy","prompt":"a","suffix":"x"}""", 400, "suffix")]
    [InlineData("completions", """{"model":"toy","prompt":"a","echo":true,"response_format":{"type":"json_object"}}""", 400, "echo")]
    [InlineData("completions", """{"model":"toy","prompt":"a","echo":true,"logprobs":21}""", 400, "logprobs")]
    [InlineData("completions", """{"model":"toy","prompt":"a","echo":true,"max_tokens":0,"min_tokens":1}""", 400, "min_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","max_tokens":0}""", 400, "max_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","skip_special_tokens":false}""", 400, "skip_special_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","use_beam_search":true}""", 400, "use_beam_search")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"continue_final_message":true}""", 400, "continue_final_message")]
    [InlineData("completions", """{"model":"toy","prompt":"a","temprature":1}""", 400, "temprature")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"max_tokens":5,"max_completion_tokens":6}""", 400, "max_tokens")]
    [InlineData("chat/completions", """{"model":"toy"}""", 400, "messages")]
    [InlineData("chat/completions", """{"model":"toy","messages":[]}""", 400, "messages")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"content":"x"}]}""", 400, "messages[0].role")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user"}]}""", 400, "messages[0].content")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":{"a":1}}]}""", 400, "messages[0].content")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":[{"type":"image_url"}]}]}""", 400, "messages[0].content[0].type")]
    [InlineData("chat/completions", """{"model":"toy","messages":["x"]}""", 400, "messages[0]")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"response_format":{"type":"xml"}}""", 400, "response_format.type")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"tool_choice":"required"}""", 400, "tool_choice")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"top_logprobs":3}""", 400, "top_logprobs")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"king","content":"a"}]}""", 400, "messages[0].role")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"tools":[{"type":"cat"}]}""", 400, "tools[0].type")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}""", 400, "tools[0].function")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":5}}]}""", 400, "tools[0].function.name")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":5}}]}""", 400, "tools[0].function.parameters")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"a"}],"tool_choice":5}""", 400, "tool_choice")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":null}]}""", 400, "messages[0].content")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"assistant","content":null,"tool_calls":[]}]}""", 400, "messages[0].content")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"assistant","content":null,"tool_calls":5}]}""", 400, "messages[0].tool_calls")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"assistant","content":null,"tool_calls":[5]}]}""", 400, "messages[0].tool_calls[0]")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"assistant","content":null,"tool_calls":[{}]}]}""", 400, "messages[0].tool_calls[0].function")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":5}}]}]}""", 400, "messages[0].tool_calls[0].function.arguments")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"assistant","content":null,"reasoning":""}]}""", 400, "messages[0].content")]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":null,"reasoning":"a"}]}""", 400, "messages[0].content")]
    [InlineData("completions", """{"model":"toy","prompt":"a","metadata":5}""", 400, "metadata")]
    [InlineData("completions", """{"model":"toy","prompt":"a","min_tokens":17}""", 400, "min_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","min_tokens":5,"max_tokens":4}""", 400, "min_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","min_tokens":-1}""", 400, "min_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","stop_token_ids":5}""", 400, "stop_token_ids")]
    [InlineData("completions", """{"model":"toy","prompt":"a","stop_token_ids":[1,1000000]}""", 400, "stop_token_ids[1]")]
    [InlineData("completions", """{"model":"toy","prompt":"a","min_tokens":1,"response_format":{"type":"json_object"}}""", 400, "min_tokens")]
    [InlineData("completions", """{"model":"toy","prompt":"a","service_tier":"priority"}""", 400, "service_tier")]
    [InlineData("completions", """{"model":"toy","prompt":"a","prompt_cache_key":5}""", 400, "prompt_cache_key")]
    [InlineData("completions", """{"model":"toy","prompt":"a","logit_bias":{"1":1,"01":2}}""", 400, "logit_bias")]
    [InlineData("completions", """{"model":"toy","prompt":"a","prompt":"b"}""", 400, null)]
    [InlineData("chat/completions", "[]", 400, null)]
    [InlineData("chat/completions", "{\"model\":", 400, null)]
    [InlineData("chat/completions", """{"model":"toy","messages":[{"role":"user","content":"\ud800"}]}""", 400, null)]
    public async Task Bad_input_is_answered_with_the_parameter(string path, string json, int status, string? param)
    {
        var (code, body, _) = await _harness.PostAsync("v1/" + path, json);
        Assert.Equal(status, (int)code);
        Assert.Equal(param, (string?)body["error"]!["param"]);
        Assert.NotEqual("", (string?)body["error"]!["message"]);
        Assert.Equal("invalid_request_error", (string?)body["error"]!["type"]);
        Assert.Equal(0, _harness.Model.Computed);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("1.5")]
    [InlineData("-0.1")]
    public async Task The_range_of_top_p_has_one_text(string value)
    {
        var (_, body, _) = await _harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":"a","top_p":{{value}}}""");
        Assert.Equal($"'top_p' is {value}: it must be above 0 and at most 1.", (string?)body["error"]!["message"]);
    }

    [Theory]
    [InlineData("GET", "v1/chat/completions", 405, "POST")]
    [InlineData("DELETE", "v1/models/toy", 405, "GET, HEAD")]
    [InlineData("POST", "metrics", 405, "GET, HEAD")]
    [InlineData("HEAD", "healthz", 200, null)]
    [InlineData("GET", "v1/models/toy", 200, null)]
    [InlineData("GET", "v1/models/a%2Fb/c", 404, null)]
    [InlineData("GET", "v1/models/", 404, null)]
    [InlineData("GET", "V1/Models", 404, null)]
    [InlineData("GET", "", 404, null)]
    public async Task A_path_takes_its_method_only(string method, string path, int status, string? allow)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), new Uri(path, UriKind.Relative));
        var response = await _harness.Http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(allow ?? "", string.Join(", ", response.Content.Headers.Allow));
        if (status >= 400)
            Assert.NotEqual("", (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!["error"]!["message"]);
    }
}

/// <summary>One server over the toy model for a whole class of tests.</summary>
public sealed class ToyServer : IAsyncLifetime
{
    internal ServerHarness Harness { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Harness = await ServerHarness.StartAsync();

    public ValueTask DisposeAsync() => Harness.DisposeAsync();
}
