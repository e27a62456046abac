using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Server;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Engine;

/// <summary>Log-probabilities of prompts are those of the whole prompt computed at once, whatever happens to its sequence.</summary>
[Trait("Category", "Component")]
public class PromptScoreTests
{
    private const int Alternatives = 3;

    private static readonly int[] Prompt = [.. Enumerable.Range(0, 21).Select(i => 3 + (i * 37 % 90))];

    public static MatrixTheoryData<string, int> Models => new(TestModels.All().Select(row => row.Data), [7, 64]);

    [Theory]
    [MemberData(nameof(Models))]
    public async Task The_scores_of_each_model_are_the_same_bits_in_chunks_behind_a_cache_and_beside_others(string name, int batchTokens)
    {
        using var model = TestModels.Load(Path.Combine(TestModels.Data, name));
        var expected = AtOnce(model, Prompt, out var likelihood);
        var cache = new MemoryPrefixCache { BlockTokens = model.Info.BlockTokens, BlockBytes = model.Info.BlockBytes };
        await using var engine = new InferenceEngine(
            model, EngineHarness.Tokenizer, cache, new ServerMetrics("m"), new SchedulerLimits(4, batchTokens, model.Info.BlockTokens, 100), 100, TimeProvider.System, NullLogger.Instance);
        engine.Start();
        var greedy = (await EngineHarness.CollectAsync(engine.Submit([EngineHarness.Greedy(Prompt, 5, "alice")])[0])).Tokens;
        await Eventually.TrueAsync(() => cache.Count > 0 || Prompt.Length >= model.Info.KvSharedUpTo || model.Info.BlockTokens > Prompt.Length);

        // Two with scores, and others of the same prompt before and behind them.
        var scored = Enumerable.Range(0, 2).Select(_ => new PromptScores(Prompt, Alternatives)).ToList();
        var generations = engine.Submit(
        [
            EngineHarness.Greedy(Prompt, 5, "alice"),
            .. scored.Select(scores => EngineHarness.Greedy(Prompt, 5, "alice") with { Scores = scores }),
            EngineHarness.Greedy([.. Prompt, 5], 5, "alice"),
        ]);
        for (var i = 0; i < 3; i++)
            Assert.Equal(greedy, (await EngineHarness.CollectAsync(generations[i])).Tokens);
        foreach (var scores in scored)
        {
            Assert.True(scores.Complete && scores.Ended.IsCompleted);
            Assert.Equal(expected, Flat(scores));
            // That of the perplexity, but for the rounding of each to fp32.
            Assert.Equal(likelihood, scores.Tokens.Skip(1).Sum(token => (double)token.Chosen.Logprob), 1e-4);
        }

        Assert.Equal([0, 0], generations.Skip(1).Take(2).Select(generation => generation.CachedTokens));
    }

    [Property]
    public async Task Scores_do_not_depend_on_what_else_is_in_the_engine(int seed)
    {
        var random = new Random(seed);
        // Little memory: sequences are preempted in the middle of their prompts and behind them.
        var model = new ToyModel(context: 64);
        await using var harness = new EngineHarness(blocks: random.Next(16, 40), sequences: random.Next(1, 6), batchTokens: random.Next(1, 24), cache: new MemoryPrefixCache(), model: model);
        var requests = Enumerable.Range(0, 8).Select(_ =>
        {
            int[] prompt = [.. Enumerable.Range(0, random.Next(1, 40)).Select(i => 1 + ((i < 16 ? i : random.Next(3)) % 50))];
            return EngineHarness.Greedy(prompt, random.Next(0, 20), $"t{random.Next(2)}") with
            {
                PublicTokens = random.Next(prompt.Length),
                Scores = random.Next(3) > 0 ? new PromptScores(prompt, random.Next(3)) : null,
            };
        }).ToList();
        var generations = requests.Select(harness.Submit).ToList();
        for (var i = 0; i < requests.Count; i++)
        {
            var (_, tokens, finish) = await EngineHarness.CollectAsync(generations[i]);
            var request = requests[i];
            Assert.Equal(ToyModel.Continue(request.Prompt, request.MaxTokens), tokens);
            Assert.Equal(FinishReason.Length, finish);
            if (request.Scores is not { } scores)
                continue;
            Assert.True(scores.Complete);
            Assert.Equal(request.Prompt, scores.Tokens.Select(token => token.Chosen.Token));
            Assert.Equal(Enumerable.Range(0, request.Prompt.Length).Select(place => place == 0), scores.Tokens.Select(token => token.First));
            foreach (var (place, token) in scores.Tokens.Index().Skip(1))
            {
                var logits = ToyModel.Logits(request.Prompt.AsSpan(0, place));
                var sum = Sampler.LogSum(logits);
                Assert.Equal((float)(logits[request.Prompt[place]] - sum), token.Chosen.Logprob);
                Assert.Equal(token.Top.Select(other => (float)(logits[other.Token] - sum)), token.Top.Select(other => other.Logprob));
                Assert.Equal(logits.OrderDescending().Take(token.Top.Count), token.Top.Select(other => logits[other.Token]));
            }
        }
    }

    [Fact]
    public async Task A_request_without_output_computes_its_prompt_and_ends()
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(blocks: 128, cache: cache);
        // Without room for a token behind it.
        int[] whole = [.. Enumerable.Range(0, 512).Select(i => 1 + (i % 1000))];
        Assert.Equal(("", FinishReason.Length), (await harness.RunAsync(EngineHarness.Greedy(whole, 0))) is var (text, tokens, finish) && tokens.Count == 0 ? (text, finish) : default);
        Assert.Equal(512, harness.Model.Computed);
        await Eventually.TrueAsync(() => cache.Count == 128);
        var metrics = await harness.Metrics.ExportAsync(TestContext.Current.CancellationToken);
        Assert.Contains("vllm:prompt_tokens_total{model_name=\"toy\"} 512", metrics, StringComparison.Ordinal);
        Assert.Contains("vllm:generation_tokens_total{model_name=\"toy\"} 0", metrics, StringComparison.Ordinal);
        Assert.Contains("vllm:request_success_total{model_name=\"toy\",finished_reason=\"length\"} 1", metrics, StringComparison.Ordinal);
        Assert.Contains("vllm:request_prefill_kv_computed_tokens_sum{model_name=\"toy\"} 512", metrics, StringComparison.Ordinal);
        // There was no first token, so that nothing is known of the time to it.
        foreach (var none in new[] { "time_to_first_token_seconds", "request_decode_time_seconds" })
            Assert.Contains($"vllm:{none}_count{{model_name=\"toy\"}} 0", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_read_of_prompts_whose_scores_nobody_asks_for_and_the_others_neither_take_from_the_cache_nor_fill_it()
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(cache: cache);
        var read = 0;
        harness.Model.BeforeStep = chunks => read += chunks.Sum(chunk => chunk.Reading?.Count ?? 0);
        int[] prompt = [.. Enumerable.Range(100, 24)];
        await harness.RunAsync(EngineHarness.Greedy(prompt, 1) with { Scores = new PromptScores(prompt, 1) });
        Assert.Equal((23, 0, 24), (read, cache.Lookups.Count, harness.Model.Computed));
        await harness.RunAsync(EngineHarness.Greedy(prompt, 4));
        Assert.Equal(23, read);
        await Eventually.TrueAsync(() => cache.Count == 6 && Volatile.Read(ref cache.Open) == 0);
        var computed = harness.Model.Computed;
        await harness.RunAsync(EngineHarness.Greedy(prompt, 1) with { Scores = new PromptScores(prompt, 1) });
        Assert.Equal((46, 24), (read, harness.Model.Computed - computed));
        // Nor was a second copy of what is there offered.
        Assert.Single(cache.Lookups);
        Assert.Single(cache.Texts);
    }

    [Fact]
    public void A_model_without_usable_logits_fails_the_request_alone()
    {
        var scores = new PromptScores([1, 2, 3], 2);
        var reading = scores.Reading(0, 3)!;
        Assert.Equal((0, 2), (reading.First, reading.Count));
        reading.Read(0, [0, 1, 2, 3]);
        Assert.Null(scores.Failure);
        reading.Read(1, [float.NaN, float.NegativeInfinity]);
        Assert.IsType<InvalidDataException>(scores.Failure);
    }

    private static List<(int Token, float Logprob)> AtOnce(ICausalModel model, int[] prompt, out double likelihood)
    {
        using var kv = model.CreateSequence();
        var logits = model.Forward([new SequenceChunk(kv, prompt, LogitsFor.All) { Prompt = prompt.Length }])[0];
        var flat = new List<(int, float)>();
        likelihood = 0;
        for (var place = 1; place < prompt.Length; place++)
        {
            var row = logits.AsSpan((place - 1) * model.Info.VocabularySize, model.Info.VocabularySize);
            var sum = Sampler.LogSum(row);
            likelihood -= PerplexityMeter.NegativeLogLikelihood(row, prompt[place]);
            flat.Add((prompt[place], (float)(row[prompt[place]] - sum)));
            foreach (var token in TokenRanking.Top(row, Alternatives))
                flat.Add((token, (float)(row[token] - sum)));
        }
        return flat;
    }

    private static List<(int Token, float Logprob)> Flat(PromptScores scores) =>
        [.. scores.Tokens.Skip(1).SelectMany(token => token.Top.Prepend(token.Chosen)).Select(token => (token.Token, token.Logprob))];
}
