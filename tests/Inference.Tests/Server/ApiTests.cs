using System.Net;
using System.Text;
using Moebius.Crds;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

[Trait("Category", "Component")]
public class ApiTests
{
    private const string Chat = """{"model":"toy","messages":[{"role":"user","content":"Hello"}],"max_tokens":12,"temperature":0}""";

    [Fact]
    public async Task A_completion_has_the_shape_that_clients_expect()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/completions", """{"model":"toy","prompt":[5,6,7],"max_tokens":9,"temperature":0,"logprobs":2,"user":"u"}""");
        Assert.Equal(HttpStatusCode.OK, status);
        var tokens = ToyModel.Continue([5, 6, 7], 9);
        Assert.Equal("text_completion", (string?)body["object"]);
        Assert.Equal(EngineHarness.Tokenizer.Decode(tokens), (string?)body["choices"]![0]!["text"]);
        Assert.Equal("length", (string?)body["choices"]![0]!["finish_reason"]);
        Assert.Equal(9, body["choices"]![0]!["logprobs"]!["token_logprobs"]!.AsArray().Count);
        Assert.Equal("""{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":0}}""", body["usage"]!.ToJsonString());
    }

    [Fact]
    public async Task The_chosen_token_is_among_the_likeliest_of_a_completion()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (_, body, _) = await harness.PostAsync("v1/completions", """{"model":"toy","prompt":[5,6,7],"max_tokens":9,"temperature":2,"seed":4,"logprobs":1,"ignore_eos":true}""");
        var logprobs = body["choices"]![0]!["logprobs"]!;
        foreach (var (top, i) in logprobs["top_logprobs"]!.AsArray().Select((top, i) => (top!.AsObject(), i)))
        {
            Assert.Equal((float)logprobs["token_logprobs"]![i]!, (float)top[(string)logprobs["tokens"]![i]!]!);
            Assert.InRange(top.Count, 1, 2);
        }
    }

    [Theory]
    [InlineData("v1/models/some/model")]
    [InlineData("v1/models/some%2Fmodel")]
    public async Task A_name_with_a_slash_is_found_however_it_is_written(string path)
    {
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { ModelName = "some/model" });
        Assert.Contains("\"id\":\"some/model\"", await harness.GetAsync(path), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Offsets_of_tokens_point_into_each_choice_s_text()
    {
        await using var harness = await ServerHarness.StartAsync();
        const string json = """{"model":"toy","prompt":[5,6,7],"max_tokens":30,"temperature":1,"seed":4,"n":2,"logprobs":0}""";
        var (_, body, _) = await harness.PostAsync("v1/completions", json);
        var events = await harness.StreamAsync("v1/completions", json.Replace("\"n\"", "\"stream\":true,\"n\"", StringComparison.Ordinal));
        var found = 0;
        foreach (var choice in body["choices"]!.AsArray())
        {
            var offsets = choice!["logprobs"]!["text_offset"]!.AsArray().Select(offset => (int)offset!).ToList();
            var tokens = choice["logprobs"]!["tokens"]!.AsArray().Select(token => (string)token!).ToList();
            var text = ((string)choice["text"]!).EnumerateRunes().Select(rune => rune.ToString()).ToList();
            Assert.Equal(0, offsets[0]);
            found += offsets.Zip(tokens).Count(token => string.Concat(text.Skip(token.First)).StartsWith(token.Second, StringComparison.Ordinal));
            Assert.Equal(offsets, events.Select(part => part["choices"]![0]!).Where(part => (int)part["index"]! == (int)choice["index"]!).SelectMany(part => part["logprobs"]!["text_offset"]!.AsArray()).Select(offset => (int)offset!));
        }

        Assert.InRange(found, 30, 60);
    }

    [Fact]
    public async Task A_streamed_chat_adds_up_to_the_whole_one()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (_, whole, _) = await harness.PostAsync("v1/chat/completions", Chat);
        var events = await harness.StreamAsync("v1/chat/completions", Chat.Replace("\"temperature\"", "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"temperature\"", StringComparison.Ordinal));
        Assert.Equal("assistant", (string?)events[0]["choices"]![0]!["delta"]!["role"]);
        Assert.Equal((string?)whole["choices"]![0]!["message"]!["content"], string.Concat(events.Where(part => part["choices"]!.AsArray().Count > 0).Select(part => (string?)part["choices"]![0]!["delta"]!["content"])));
        Assert.Equal("length", (string?)events[^2]["choices"]![0]!["finish_reason"]);
        Assert.Empty(events[^1]["choices"]!.AsArray());
        Assert.Equal(whole["usage"]!.ToJsonString(), events[^1]["usage"]!.ToJsonString());
        Assert.All(events, part => Assert.Equal("chat.completion.chunk", (string?)part["object"]));
    }

    [Fact]
    public async Task Several_prompts_and_choices_come_in_order()
    {
        await using var harness = await ServerHarness.StartAsync();
        var json = """{"model":"toy","prompt":[[1,2],[3,4]],"max_tokens":6,"n":2,"seed":5,"temperature":1}""";
        var (_, body, _) = await harness.PostAsync("v1/completions", json);
        var texts = body["choices"]!.AsArray().Select(choice => (string?)choice!["text"]).ToList();
        Assert.Equal([0, 1, 2, 3], body["choices"]!.AsArray().Select(choice => (int)choice!["index"]!));
        Assert.Equal(4, texts.Distinct().Count());
        Assert.Equal(4, (int)body["usage"]!["prompt_tokens"]!);
        Assert.Equal(24, (int)body["usage"]!["completion_tokens"]!);
        var (_, again, _) = await harness.PostAsync("v1/completions", json);
        Assert.Equal(texts, again["choices"]!.AsArray().Select(choice => (string?)choice!["text"]));
        var events = await harness.StreamAsync("v1/completions", json.Replace("\"n\"", "\"stream\":true,\"n\"", StringComparison.Ordinal));
        Assert.Equal(texts, Enumerable.Range(0, 4).Select(i => string.Concat(events.Where(part => (int)part["choices"]![0]!["index"]! == i).Select(part => (string?)part["choices"]![0]!["text"]))));
    }

    [Fact]
    public async Task A_prompt_past_the_context_is_refused_with_both_numbers()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[{{string.Join(',', Enumerable.Repeat(1, 600))}}]}""");
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal("context_length_exceeded", (string?)body["error"]!["code"]);
        Assert.Contains("600 tokens", (string?)body["error"]!["message"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"role\":\"user\",\"content\":\"\"}", 513, "", "messages")]
    [InlineData("{\"role\":\"user\",\"content\":\"a\"}", 1, "x", "stop")]
    public async Task What_is_too_much_is_refused_before_it_costs(string message, int count, string stop, string param)
    {
        await using var harness = await ServerHarness.StartAsync();
        var more = stop.Length > 0 ? $",\"stop\":\"{new string('x', 1001)}\"" : "";
        var (status, body, _) = await harness.PostAsync("v1/chat/completions", $"{{\"model\":\"toy\",\"messages\":[{string.Join(',', Enumerable.Repeat(message, count))}]{more}}}");
        Assert.Equal((HttpStatusCode.BadRequest, param), (status, (string?)body["error"]!["param"]));
    }

    [Fact]
    public async Task Invalid_UTF8_and_other_content_are_refused_and_the_server_stays_up()
    {
        await using var harness = await ServerHarness.StartAsync();
        using var broken = new ByteArrayContent([.. Encoding.UTF8.GetBytes("{\"model\":\"toy\",\"prompt\":\""), 0xff, 0xfe, .. Encoding.UTF8.GetBytes("\"}")]);
        broken.Headers.ContentType = new("application/json");
        Assert.Equal(HttpStatusCode.BadRequest, (await harness.Http.PostAsync(new Uri("v1/completions", UriKind.Relative), broken, TestContext.Current.CancellationToken)).StatusCode);
        using var form = new FormUrlEncodedContent([]);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await harness.Http.PostAsync(new Uri("v1/completions", UriKind.Relative), form, TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await harness.Http.GetAsync(new Uri("v1/completions", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await harness.Http.GetAsync(new Uri("v1/nothing", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/chat/completions", Chat)).Status);
    }

    [Fact]
    public async Task A_full_queue_is_answered_429_with_retry_after()
    {
        await using var harness = await ServerHarness.StartAsync(
            ServerHarness.Options with { MaxSequences = 1, MaxQueued = 1 }, new ToyModel(blockTokens: 4) { Held = true });
        var answers = Enumerable.Range(0, 10).Select(_ => harness.PostAsync("v1/chat/completions", Chat)).ToList();
        for (var i = 0; i < 8; i++)
        {
            var first = await Task.WhenAny(answers);
            answers.Remove(first);
            var refused = await first;
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.Status);
            // Whom there is no room for is told so before the body is looked at.
            Assert.Equal(HttpStatusCode.TooManyRequests, (await harness.PostAsync("v1/completions", "{")).Status);
            Assert.True(refused.Response.Headers.RetryAfter!.Delta > TimeSpan.Zero);
            Assert.Equal("queue_full", (string?)refused.Body["error"]!["code"]);
        }

        // Each of them once.
        Assert.Contains("moebius_requests_rejected_total{model_name=\"toy\"} 16\n", await harness.GetAsync("metrics"), StringComparison.Ordinal);

        harness.Model.Gate.Release(1000);
        foreach (var answer in answers)
            Assert.Equal(HttpStatusCode.OK, (await answer).Status);
    }

    [Fact]
    public async Task A_client_that_leaves_stops_its_computation()
    {
        await using var harness = await ServerHarness.StartAsync(model: new ToyModel(blockTokens: 4) { Held = true });
        // A client that reads on for two seconds, to keep its connection, has not left.
        using var client = new HttpClient(new SocketsHttpHandler { ResponseDrainTimeout = TimeSpan.Zero }) { BaseAddress = harness.Server.Address };
        using var content = new StringContent(Chat.Replace("12", "400", StringComparison.Ordinal).Replace("\"temperature\"", "\"stream\":true,\"temperature\"", StringComparison.Ordinal), Encoding.UTF8, "application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("v1/chat/completions", UriKind.Relative)) { Content = content };
        harness.Model.Gate.Release(3);
        var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        response.Dispose();
        await Eventually.TrueAsync(async () =>
        {
            harness.Model.Gate.Release(1);
            return (await harness.GetAsync("metrics")).Contains("finished_reason=\"abort\"} 1", StringComparison.Ordinal);
        });

        Assert.True(harness.Model.Computed < 300, $"{harness.Model.Computed}");
        await Eventually.TrueAsync(() => harness.Model.Live == 0);
    }

    [Fact]
    public async Task While_the_model_loads_probes_are_answered()
    {
        using var loaded = new ManualResetEventSlim();
        var model = new ToyModel(blockTokens: 4);
        await using var harness = await ServerHarness.StartAsync(wait: false, load: () =>
        {
            loaded.Wait(Eventually.Limit);
            return model;
        });
        Assert.Equal("ok\n", await harness.GetAsync("healthz"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await harness.Http.GetAsync(new Uri("readyz", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        var (status, body, response) = await harness.PostAsync("v1/chat/completions", Chat);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Equal("not_ready", (string?)body["error"]!["code"]);
        Assert.NotNull(response.Headers.RetryAfter);
        loaded.Set();
        await Eventually.EndsAsync(harness.Server.Loaded);
        Assert.Equal("ok\n", await harness.GetAsync("readyz"));
        Assert.Contains("\"id\":\"toy\"", await harness.GetAsync("v1/models"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_that_is_nested_too_deep_is_told_so()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (status, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":"a","metadata":{{new string('[', 70)}}{{new string(']', 70)}}}""");
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("deeper than 64 levels", (string?)body["error"]!["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_ends_the_run_with_its_reason()
    {
        await using var harness = await ServerHarness.StartAsync(wait: false, load: () => throw new UserInputException("config.json: not found"));
        var error = await Assert.ThrowsAsync<UserInputException>(() => harness.Server.RunAsync(TestContext.Current.CancellationToken));
        Assert.Equal("config.json: not found", error.Message);
    }

    [Theory]
    [InlineData(100L << 40, "serving.kvMemory: 100 TiB hold 6871947673600 blocks of 16 bytes; an engine counts at most 536870911: write at most 8589934576")]
    [InlineData(20, "serving.kvMemory: 20 bytes hold 1 blocks of 16 bytes: at least 32 are needed")]
    public async Task Memory_for_keys_and_values_that_cannot_be_used_is_refused(long bytes, string says)
    {
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { KVMemoryBytes = bytes }, wait: false);
        var error = await Assert.ThrowsAsync<UserInputException>(() => harness.Server.RunAsync(TestContext.Current.CancellationToken));
        Assert.Equal(says, error.Message);
    }

    [Fact]
    public async Task Stopping_lets_a_running_request_end()
    {
        await using var harness = await ServerHarness.StartAsync(model: new ToyModel(blockTokens: 4) { Held = true });
        using var stop = new CancellationTokenSource();
        var run = harness.Server.RunAsync(stop.Token);
        var answer = harness.PostAsync("v1/chat/completions", Chat);
        await Eventually.TrueAsync(async () => (await harness.GetAsync("metrics")).Contains("vllm:num_requests_running{model_name=\"toy\"} 1", StringComparison.Ordinal));
        await stop.CancelAsync();
        await Eventually.TrueAsync(async () => (await harness.Http.GetAsync(new Uri("readyz", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode == HttpStatusCode.ServiceUnavailable);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await harness.PostAsync("v1/chat/completions", Chat)).Status);
        harness.Model.Gate.Release(1000);
        Assert.Equal(HttpStatusCode.OK, (await answer).Status);
        await Eventually.EndsAsync(run);
    }

    [Fact]
    public async Task Metrics_have_the_names_that_dashboards_ask_for()
    {
        await using var harness = await ServerHarness.StartAsync();
        await harness.PostAsync("v1/chat/completions", Chat);
        var metrics = await harness.GetAsync("metrics");
        foreach (var name in new[] { "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total", "vllm:time_to_first_token_seconds_bucket", "vllm:inter_token_latency_seconds_bucket", "vllm:e2e_request_latency_seconds_bucket", "vllm:request_success_total" })
            Assert.Contains("\n" + name + "{model_name=\"toy\"", metrics, StringComparison.Ordinal);
        // A request is counted once in each of its phases.
        foreach (var phase in new[] { "queue", "prefill", "decode", "inference" })
            Assert.Contains($"\nvllm:request_{phase}_time_seconds_count{{model_name=\"toy\"}} 1\n", metrics, StringComparison.Ordinal);
        Assert.Contains("\n# TYPE vllm:num_requests_running gauge", metrics, StringComparison.Ordinal);
        Assert.Contains("\nvllm:generation_tokens_total{model_name=\"toy\"} 12\n", metrics, StringComparison.Ordinal);
        foreach (var (name, value) in new[]
        {
            ("hits_total", "10"), ("misses_total", "3"), ("stall_seconds_total", "0.5"), ("prefetched_total", "7"), ("prefetched_late_total", "1"), ("overfetched_total", "4"),
            ("predictable_uses_total", "13"), ("predicted_uses_total", "12"), ("horizon_layers", "2.5"), ("prefetch_active", "1"), ("bandwidth_bytes_per_second", "500000000"), ("load_latency_seconds", "0.25"), ("resident_bytes", "50"), ("budget_bytes", "60"),
        })
            Assert.Contains($"\nmoebius_expert_{name}{{model_name=\"toy\"}} {value}\n", metrics, StringComparison.Ordinal);
        Assert.Contains("\nmoebius_expert_predictor_recall_ratio{model_name=\"toy\"} 0.923", metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("vllm_", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metrics_count_tokens_while_they_come()
    {
        await using var harness = await ServerHarness.StartAsync(model: new ToyModel(blockTokens: 4) { Held = true });
        harness.Model.Gate.Release(3);
        var answer = harness.PostAsync("v1/completions", """{"model":"toy","prompt":[5,6,7],"max_tokens":9,"ignore_eos":true}""");
        await Eventually.TrueAsync(async () => (await harness.GetAsync("metrics")).Contains("\nvllm:generation_tokens_total{model_name=\"toy\"} 3\n", StringComparison.Ordinal));
        Assert.Contains("\nvllm:prompt_tokens_total{model_name=\"toy\"} 3\n", await harness.GetAsync("metrics"), StringComparison.Ordinal);
        harness.Model.Gate.Release(1000);
        await answer;
        var metrics = await harness.GetAsync("metrics");
        Assert.Contains("\nvllm:generation_tokens_total{model_name=\"toy\"} 9\n", metrics, StringComparison.Ordinal);
        Assert.Contains("\nvllm:cache_config_info{model_name=\"toy\",block_size=\"4\",num_gpu_blocks=\"65536\"} 1\n", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metrics_count_requests_by_what_they_ask_for_and_get()
    {
        await using var harness = await ServerHarness.StartAsync();
        await harness.PostAsync("v1/completions", """{"model":"toy","prompt":[[5,6,7],[8,9]],"n":3,"max_tokens":4,"ignore_eos":true}""");
        var metrics = await harness.GetAsync("metrics");
        // Two prompts with three outputs of four tokens each.
        foreach (var (name, count, sum) in new[]
        {
            ("request_params_n", 2, 6), ("request_max_num_generation_tokens", 2, 8), ("request_params_max_tokens", 6, 24), ("request_generation_tokens", 6, 24), ("request_prompt_tokens", 6, 15),
        })
        {
            Assert.Contains($"\nvllm:{name}_count{{model_name=\"toy\"}} {count}\n", metrics, StringComparison.Ordinal);
            Assert.Contains($"\nvllm:{name}_sum{{model_name=\"toy\"}} {sum}\n", metrics, StringComparison.Ordinal);
        }
        Assert.Contains("\nvllm:request_time_per_output_token_seconds_count{model_name=\"toy\"} 6\n", metrics, StringComparison.Ordinal);
        // What was not computed was cached or shared.
        var cached = Value("prompt_tokens_cached_total");
        Assert.Equal(15, cached + Value("request_prefill_kv_computed_tokens_sum"));

        double Value(string name) => double.Parse(
            metrics.Split('\n').Single(line => line.StartsWith($"vllm:{name}{{", StringComparison.Ordinal)).Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task An_address_in_use_is_named()
    {
        await using var harness = await ServerHarness.StartAsync();
        var error = await Assert.ThrowsAsync<UserInputException>(() => ServerHarness.StartAsync(ServerHarness.Options with { Listen = new IPEndPoint(IPAddress.Loopback, harness.Server.Address.Port) }));
        Assert.Contains("--listen", error.Message, StringComparison.Ordinal);
    }
}
