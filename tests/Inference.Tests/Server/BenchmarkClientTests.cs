using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Moebius.Inference.Engine;
using Moebius.Inference.Server;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

/// <summary>Requests that programs which measure servers send, and what they make of the answers.</summary>
[Trait("Category", "Component")]
public sealed class BenchmarkClientTests(ToyServer server) : IClassFixture<ToyServer>
{
    private readonly ServerHarness _harness = server.Harness;

    [Theory]
    [InlineData("completions", "\"prompt\":\"a\"")]
    [InlineData("chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]")]
    public async Task Guidellm_finds_a_healthy_server_its_model_and_usage_in_every_event(string path, string prompt)
    {
        Assert.Equal("ok\n", await _harness.GetAsync("health"));
        var model = (string?)JsonNode.Parse(await _harness.GetAsync("v1/models"))!["data"]![0]!["id"];
        var limit = path == "completions" ? "max_tokens" : "max_completion_tokens";
        // Greedy, because half of a character has no event of its own.
        var events = await _harness.StreamAsync("v1/" + path, $$$"""{"model":"{{{model}}}",{{{prompt}}},"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},"{{{limit}}}":5,"stop":null,"ignore_eos":true,"temperature":0}""");
        int[] counts = [.. events.Select(piece => (int)piece["usage"]!["completion_tokens"]!)];
        Assert.Equal(counts.Order(), counts);
        Assert.Equal(Enumerable.Range(1, 5), counts.Distinct().Where(count => count > 0));
        Assert.Equal(events.Count, events.Count(piece => (int)piece["usage"]!["prompt_tokens"]! > 0));
    }

    [Theory]
    [InlineData("""{"include_usage":false,"continuous_usage_stats":true}""")]
    [InlineData("""{"continuous_usage_stats":true}""")]
    public async Task Usage_so_far_without_usage_is_refused(string options)
    {
        var (status, body, _) = await _harness.PostAsync("v1/completions", $$$"""{"model":"toy","prompt":"a","stream":true,"stream_options":{{{options}}}}""");
        Assert.Equal((HttpStatusCode.BadRequest, "stream_options.continuous_usage_stats"), (status, (string?)body["error"]!["param"]));
    }

    [Theory]
    [InlineData("completions", "\"prompt\":\"a\",\"echo\":true")]
    [InlineData("chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]")]
    public async Task The_serving_benchmark_of_vllm_takes_the_first_event_for_the_first_token(string path, string prompt)
    {
        await using var held = await ServerHarness.StartAsync(model: new ToyModel(blockTokens: 4) { Held = true });
        using var content = new StringContent("{\"model\":\"toy\",\"stream\":true,\"max_tokens\":2," + prompt + "}", Encoding.UTF8, "application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("v1/" + path, UriKind.Relative)) { Content = content };
        // That it is accepted is known before there is a token.
        using var response = await Eventually.EndsAsync(held.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken), "the headers");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        var first = lines.ReadLineAsync(TestContext.Current.CancellationToken).AsTask();
        await Task.Delay(100, TestContext.Current.CancellationToken);
        Assert.False(first.IsCompleted);
        held.Model.Gate.Open();
        Assert.StartsWith("data: {", await Eventually.EndsAsync(first, "the first event"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("completions", "\"prompt\":\"a\"")]
    [InlineData("chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"continue_final_message\":false")]
    public async Task Settings_that_are_what_happens_anyway_are_accepted(string path, string prompt)
    {
        var (status, body, _) = await _harness.PostAsync("v1/" + path, $$$"""{"model":"toy",{{{prompt}}},"max_tokens":1,"use_beam_search":false,"include_stop_str_in_output":false,"skip_special_tokens":true,"spaces_between_special_tokens":true}""");
        Assert.True(status == HttpStatusCode.OK, body.ToJsonString());
    }

    [Fact]
    public async Task Who_asks_for_the_version_gets_one()
    {
        var version = (string?)JsonNode.Parse(await _harness.GetAsync("version"))!["version"];
        Assert.Matches("^[0-9]+\\.[0-9]+\\.[0-9]+", version);
    }

    [Fact]
    public async Task A_server_that_loads_is_not_healthy_yet()
    {
        var loaded = new TaskCompletionSource();
        await using var loading = await ServerHarness.StartAsync(wait: false, load: () =>
        {
            loaded.Task.Wait();
            return new ToyModel(blockTokens: 4);
        });
        var response = await loading.Http.GetAsync(new Uri("health", UriKind.Relative), TestContext.Current.CancellationToken);
        loaded.SetResult();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        await Eventually.EndsAsync(loading.Server.Loaded, "a model that is loaded");
        Assert.Equal("ok\n", await loading.GetAsync("health"));
    }

    [Fact]
    public void Log_probabilities_of_prompts_take_no_more_memory_than_there_is_room_for()
    {
        var room = new ScoreRoom();
        Assert.Null(room.Enter("a", [EngineHarness.Greedy([1, 2], 1)]));
        var refused = Assert.Throws<ApiException>(() => room.Enter("a", [Scored(100_000), Scored(100_000)]));
        Assert.Equal((400, "logprobs"), (refused.Status, (string?)refused.Body()["error"]!["param"]));
        using (room.Enter("a", [Scored(100_000)]))
        {
            Assert.Equal(429, Assert.Throws<ApiException>(() => room.Enter("a", [Scored(10_000)])).Status);
            // Another tenant's share is kept.
            room.Enter("b", [Scored(40_000)])!.Dispose();
        }

        room.Enter("a", [Scored(100_000)])!.Dispose();

        static EngineRequest Scored(int tokens)
        {
            var prompt = new int[tokens];
            return EngineHarness.Greedy(prompt, 0) with { Scores = new PromptScores(prompt, 20) };
        }
    }
}
