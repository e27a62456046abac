using System.Net;
using System.Text.Json.Nodes;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Server;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Server;

/// <summary>Requests that evaluation programs send, and what they make of the answers, against the demonstration model.</summary>
[Trait("Category", "Component")]
public sealed class EvaluationClientTests : IAsyncLifetime
{
    private const string Context = "It is a truth universally acknowledged, that a single man in possession of a good fortune";

    private static readonly string[] Endings = [", must be in want of a wife.", " is a café.", "!"];

    private readonly Tokenizer _tokenizer = Tokenizer.Load(Fixtures.Model);
    private ServerHarness _harness = null!;
    private ICausalModel _model = null!;

    public async ValueTask InitializeAsync()
    {
        _model = TestModels.Load(TestModels.Demonstration() ?? throw new DirectoryNotFoundException("samples/models/austen-moe is not above the tests"));
        _harness = await ServerHarness.StartAsync(ServerHarness.Options with { KVMemoryBytes = 4 << 20 }, load: () => TestModels.Load(TestModels.Demonstration()!));
    }

    public async ValueTask DisposeAsync()
    {
        _model.Dispose();
        await _harness.DisposeAsync();
    }

    [Theory]
    [InlineData("tokens", 1)]
    [InlineData("tokens", 3)]
    [InlineData("text", 1)]
    [InlineData("text", 3)]
    public async Task The_lm_evaluation_harness_reads_the_likelihood_of_endings_and_whether_they_are_greedy(string form, int batch)
    {
        // As its class LocalCompletionsAPI asks and parses; with batch_size 1 a list of tokens stays a list of lists, a text is alone.
        var context = _tokenizer.Encode(Context, false);
        List<List<int>> inputs = [.. Endings.Take(batch).Select(ending => _tokenizer.Encode(Context + ending, false))];
        var greedy = Greedy(context, 4);
        inputs[0] = [.. context, .. greedy];
        JsonNode prompt = form == "tokens" ? Json(inputs) : batch == 1 ? _tokenizer.Decode(inputs[0]) : new JsonArray([.. inputs.Select(input => (JsonNode)_tokenizer.Decode(input))]);
        var (status, body, _) = await _harness.PostAsync("v1/completions", new JsonObject
        {
            ["model"] = "toy", ["prompt"] = prompt, ["temperature"] = 0, ["max_tokens"] = 1, ["logprobs"] = 1, ["seed"] = 1234, ["echo"] = true,
        }.ToJsonString());
        Assert.True(status == HttpStatusCode.OK, body.ToJsonString());
        var choices = body["choices"]!.AsArray().OrderBy(choice => (int)choice!["index"]!).ToList();
        Assert.Equal(batch, choices.Count);
        for (var i = 0; i < batch; i++)
        {
            var logprobs = choices[i]!["logprobs"]!;
            double[] own = [.. logprobs["token_logprobs"]!.AsArray().ToArray()[context.Count..^1].Select(value => (double)value!)];
            double[] best = [.. logprobs["top_logprobs"]!.AsArray().ToArray()[context.Count..^1].Select(top => top!.AsObject().Max(entry => (double)entry.Value!))];
            var (likelihood, isGreedy) = Likelihood(inputs[i], context.Count);
            Assert.Equal(inputs[i].Count - context.Count, own.Length);
            Assert.Equal(likelihood, own.Sum(), 1e-4);
            Assert.Equal(isGreedy, own.SequenceEqual(best));
            Assert.Equal(i == 0, isGreedy);
        }
    }

    [Fact]
    public async Task The_lm_evaluation_harness_gets_each_token_of_a_rolling_window_scored_once()
    {
        // Its loglikelihood_rolling: one token of context, and everything behind it.
        List<int> window = [0, .. _tokenizer.Encode(string.Concat(Enumerable.Repeat(Context + Endings[0] + " ", 12)), false)];
        var body = await CompleteAsync(new JsonObject { ["prompt"] = Json([window]), ["temperature"] = 0, ["max_tokens"] = 1, ["logprobs"] = 1, ["seed"] = 1234, ["echo"] = true });
        var values = body["choices"]![0]!["logprobs"]!["token_logprobs"]!.AsArray();
        Assert.Null(values[0]);
        Assert.Equal(window.Count + 1, values.Count);
        Assert.Equal(Likelihood(window, 1).Sum, values.ToArray()[1..^1].Sum(value => (double)value!), 1e-2);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    public async Task A_prompt_alone_comes_back_with_its_tokens_their_places_and_alternatives(int alternatives)
    {
        var text = Context + Endings[1];
        var tokens = _tokenizer.Encode(text, true);
        var body = await CompleteAsync(new JsonObject { ["prompt"] = text, ["max_tokens"] = 0, ["logprobs"] = alternatives, ["echo"] = true });
        var choice = body["choices"]![0]!;
        Assert.Equal((text, "length"), ((string?)choice["text"], (string?)choice["finish_reason"]));
        Assert.Equal((tokens.Count, 0), ((int)body["usage"]!["prompt_tokens"]!, (int)body["usage"]!["completion_tokens"]!));
        var logprobs = choice["logprobs"]!;
        Assert.All(new[] { "tokens", "text_offset", "token_logprobs", "top_logprobs" }, list => Assert.Equal(tokens.Count, logprobs[list]!.AsArray().Count));
        Assert.Null(logprobs["token_logprobs"]![0]);
        Assert.Null(logprobs["top_logprobs"]![0]);
        for (var i = 0; i < tokens.Count; i++)
        {
            var token = (string)logprobs["tokens"]![i]!;
            if (!token.StartsWith("bytes:", StringComparison.Ordinal))
                Assert.StartsWith(token, text[(int)logprobs["text_offset"]![i]!..], StringComparison.Ordinal);
            if (i > 0)
                Assert.InRange(logprobs["top_logprobs"]![i]!.AsObject().Count, Math.Max(1, alternatives), alternatives + 1);
        }

        // A generated token is told of with the same numbers as one that is sent back.
        var generated = await CompleteAsync(new JsonObject { ["prompt"] = text, ["max_tokens"] = 3, ["temperature"] = 0, ["logprobs"] = alternatives, ["echo"] = true });
        var all = generated["choices"]![0]!["logprobs"]!["token_logprobs"]!.AsArray();
        Assert.Equal(logprobs["token_logprobs"]!.ToJsonString(), new JsonArray([.. all.Take(tokens.Count).Select(value => value?.DeepClone())]).ToJsonString());
        var greedy = Greedy(tokens, 3);
        var again = await CompleteAsync(new JsonObject { ["prompt"] = Json([[.. tokens, .. greedy]]), ["max_tokens"] = 0, ["logprobs"] = alternatives, ["echo"] = true });
        Assert.Equal(all.ToJsonString(), again["choices"]![0]!["logprobs"]!["token_logprobs"]!.ToJsonString());
    }

    [Fact]
    public async Task A_stream_tells_of_a_prompt_in_pieces_that_are_the_unstreamed_answer()
    {
        var text = string.Concat(Enumerable.Repeat(Context + " ", 16));
        var request = new JsonObject { ["model"] = "toy", ["prompt"] = new JsonArray(text, Context), ["max_tokens"] = 3, ["temperature"] = 0, ["n"] = 2, ["logprobs"] = 2, ["echo"] = true };
        var whole = await CompleteAsync(request);
        request["stream"] = true;
        var events = await _harness.StreamAsync("v1/completions", request.ToJsonString());
        Assert.Equal(4, whole["choices"]!.AsArray().Count);
        foreach (var choice in whole["choices"]!.AsArray())
        {
            var pieces = events.Select(piece => piece["choices"]![0]!).Where(piece => (int)piece["index"]! == (int)choice!["index"]!).ToList();
            Assert.Equal((string?)choice!["text"], string.Concat(pieces.Select(piece => (string?)piece["text"])));
            foreach (var (list, values) in choice["logprobs"]!.AsObject())
                Assert.Equal(values!.ToJsonString(), new JsonArray([.. pieces.SelectMany(piece => piece["logprobs"]?[list]?.AsArray() ?? []).Select(value => value?.DeepClone())]).ToJsonString());
        }
    }

    [Fact]
    public async Task The_remote_tokenizer_of_the_harness_gets_the_tokens_of_a_text_and_the_text_of_tokens()
    {
        var (status, body, _) = await _harness.PostAsync("tokenize", new JsonObject { ["prompt"] = Context, ["add_special_tokens"] = false }.ToJsonString());
        Assert.Equal(HttpStatusCode.OK, status);
        List<int> tokens = [.. body["tokens"]!.AsArray().Select(token => (int)token!)];
        Assert.Equal(_tokenizer.Encode(Context, false), tokens);
        Assert.Equal((tokens.Count, _harness.Model.Info.ContextLength > 0), ((int)body["count"]!, (int)body["max_model_len"]! > 0));
        Assert.Null(body["token_strs"]);
        (status, body, _) = await _harness.PostAsync("detokenize", new JsonObject { ["tokens"] = Json(tokens) }.ToJsonString());
        Assert.Equal((HttpStatusCode.OK, Context), (status, (string?)body["prompt"]));

        // Names of special tokens stay, so that the tokens come back.
        var (_, special, _) = await _harness.PostAsync("detokenize", """{"model":"toy","tokens":[0]}""");
        var (_, back, _) = await _harness.PostAsync("tokenize", new JsonObject { ["model"] = "toy", ["prompt"] = (string?)special["prompt"], ["add_special_tokens"] = false, ["return_token_strs"] = true }.ToJsonString());
        Assert.Equal(["[0]", new JsonArray((string?)special["prompt"]).ToJsonString()], new[] { back["tokens"]!.ToJsonString(), back["token_strs"]!.ToJsonString() });
    }

    [Fact]
    public async Task A_conversation_has_the_tokens_that_a_chat_request_counts()
    {
        const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"A single man\"}]";
        var (status, body, _) = await _harness.PostAsync("tokenize", "{" + Messages + "}");
        Assert.True(status == HttpStatusCode.OK, body.ToJsonString());
        var (_, chat, _) = await _harness.PostAsync("v1/chat/completions", "{\"model\":\"toy\",\"max_tokens\":1," + Messages + "}");
        Assert.Equal((int)chat["usage"]!["prompt_tokens"]!, (int)body["count"]!);
    }

    [Theory]
    [InlineData("tokenize", "{}", 400, "prompt")]
    [InlineData("tokenize", """{"prompt":5}""", 400, "prompt")]
    [InlineData("tokenize", """{"prompt":"a","messages":[]}""", 400, "messages")]
    [InlineData("tokenize", """{"prompt":"a","model":"other"}""", 404, "model")]
    [InlineData("tokenize", """{"prompt":"a","truncate":1}""", 400, "truncate")]
    [InlineData("tokenize", """{"messages":[{"role":"user","content":"a"}],"continue_final_message":true}""", 400, "continue_final_message")]
    [InlineData("tokenize", """{"messages":[{"role":"user","content":"a"}],"chat_template":"x"}""", 400, "chat_template")]
    [InlineData("detokenize", "{}", 400, "tokens")]
    [InlineData("detokenize", """{"tokens":5}""", 400, "tokens")]
    [InlineData("detokenize", """{"tokens":[1,-1]}""", 400, "tokens[1]")]
    [InlineData("detokenize", """{"tokens":[1],"skip":true}""", 400, "skip")]
    public async Task What_the_tokenizer_is_not_asked_rightly_is_refused_by_its_field(string path, string json, int expected, string param)
    {
        var (status, body, _) = await _harness.PostAsync(path, json);
        Assert.Equal((expected, param), ((int)status, (string?)body["error"]!["param"]));
    }

    [Fact]
    public async Task Token_ids_are_bounded_as_the_tokens_of_a_text_are()
    {
        var context = (int)JsonNode.Parse(await _harness.GetAsync("v1/models/toy"))!["max_model_len"]!;
        var most = Json(Enumerable.Repeat(7, 8 * context));
        var (status, body, _) = await _harness.PostAsync("detokenize", new JsonObject { ["tokens"] = most }.ToJsonString());
        Assert.Equal((HttpStatusCode.OK, _tokenizer.Decode(Enumerable.Repeat(7, 8 * context))), (status, (string?)body["prompt"]));
        most.Add(7);
        (status, body, _) = await _harness.PostAsync("detokenize", new JsonObject { ["tokens"] = most.DeepClone() }.ToJsonString());
        Assert.Equal((HttpStatusCode.BadRequest, "tokens", "context_length_exceeded"), (status, (string?)body["error"]!["param"], (string?)body["error"]!["code"]));
    }

    [Fact]
    public async Task An_answer_with_many_log_probabilities_is_sent_while_it_is_written()
    {
        // Who reads has not read yet: the writer waits, instead of keeping all of it.
        var pipe = new System.IO.Pipelines.Pipe(new System.IO.Pipelines.PipeOptions(pauseWriterThreshold: 1 << 17, resumeWriterThreshold: 1 << 16, useSynchronizationContext: false));
        var shape = new TextShape("toy", _tokenizer, DateTimeOffset.UnixEpoch);
        var tokens = Enumerable.Repeat(new ChosenToken(new TokenLogprob(7, -1), []), 50_000);
        var writing = shape.WriteAsync(pipe.Writer, [(shape.Choice(0, AnswerDelta.Of("a"), null, "stop"), tokens)], AnswerShape.Usage(1, 1, 0), TestContext.Current.CancellationToken);
        var read = await Eventually.EndsAsync(pipe.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask(), "a part of the answer");
        Assert.False(writing.IsCompleted);
        Assert.InRange(read.Buffer.Length, 1, 1 << 18);
        pipe.Reader.AdvanceTo(read.Buffer.End);
        await pipe.Reader.CompleteAsync();
        await Eventually.EndsAsync(writing, "the end of the answer");
    }

    private static JsonArray Json(IEnumerable<int> tokens) => new([.. tokens.Select(token => (JsonNode)token)]);

    private static JsonArray Json(IEnumerable<List<int>> prompts) => new([.. prompts.Select(tokens => (JsonNode)Json(tokens))]);

    private async Task<JsonNode> CompleteAsync(JsonObject request)
    {
        request["model"] = "toy";
        var (status, body, _) = await _harness.PostAsync("v1/completions", request.ToJsonString());
        Assert.True(status == HttpStatusCode.OK, body.ToJsonString());
        return body;
    }

    private List<int> Greedy(List<int> prompt, int count)
    {
        List<int> tokens = [.. prompt];
        for (var i = 0; i < count; i++)
        {
            var logits = TestModels.Prefill(_model, [.. tokens], tokens.Count);
            tokens.Add(TokenRanking.Largest(logits));
        }

        return tokens[prompt.Count..];
    }

    /// <summary>The log-likelihood of the tokens from a place on, and whether each is the likeliest.</summary>
    private (double Sum, bool Greedy) Likelihood(List<int> tokens, int from)
    {
        using var kv = _model.CreateSequence();
        var logits = _model.Forward([new SequenceChunk(kv, tokens.ToArray(), LogitsFor.All)])[0];
        var (sum, greedy) = (0.0, true);
        for (var place = from; place < tokens.Count; place++)
        {
            var row = logits.AsSpan((place - 1) * _model.Info.VocabularySize, _model.Info.VocabularySize);
            sum -= Inference.Verify.PerplexityMeter.NegativeLogLikelihood(row, tokens[place]);
            greedy &= TokenRanking.Largest(row) == tokens[place];
        }
        return (sum, greedy);
    }
}
