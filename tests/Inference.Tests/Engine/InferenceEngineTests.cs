using System.Collections;
using System.Collections.ObjectModel;
using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class InferenceEngineTests
{
    private static readonly int[][] Prompts = [.. Enumerable.Range(0, 24).Select(i => Enumerable.Range(1, 3 + (i * 2)).Select(j => ((i * 131) + (j * 17)) % 4000 + 1).ToArray())];

    [Theory]
    [InlineData(1000, 8, 16)]
    [InlineData(1000, 1, 512)]
    [InlineData(40, 8, 7)]
    [InlineData(20, 24, 64)]
    public async Task Every_sequence_says_what_it_says_alone(int blocks, int sequences, int batchTokens)
    {
        await using var harness = new EngineHarness(blocks, sequences, batchTokens);
        var generations = Prompts.Select((prompt, i) => harness.Submit(EngineHarness.Greedy(prompt, 20, "tenant" + (i % 3)))).ToList();
        for (var i = 0; i < Prompts.Length; i++)
        {
            var (text, tokens, finish) = await EngineHarness.CollectAsync(generations[i]);
            Assert.Equal(ToyModel.Continue(Prompts[i], 20), tokens);
            Assert.Equal(EngineHarness.Tokenizer.Decode(tokens), text);
            Assert.Equal(FinishReason.Length, finish);
        }

        await harness.DisposeAsync();
        Assert.Equal(0, harness.Model.Live);
        Assert.True(harness.Model.PeakTokens <= blocks * harness.Model.Info.BlockTokens, $"{harness.Model.PeakTokens} tokens were stored at once");
    }

    [Fact]
    public async Task Too_little_memory_preempts_and_loses_no_token()
    {
        // 20 blocks of 4 tokens: two sequences that grow to 60 tokens each cannot both stay.
        await using var harness = new EngineHarness(blocks: 20);
        var generations = harness.Engine.Submit([EngineHarness.Greedy([1, 2, 3, 4, 5], 50), EngineHarness.Greedy([9, 8, 7, 6, 5], 50)]);
        Assert.Equal(ToyModel.Continue([1, 2, 3, 4, 5], 50), (await EngineHarness.CollectAsync(generations[0])).Tokens);
        Assert.Equal(ToyModel.Continue([9, 8, 7, 6, 5], 50), (await EngineHarness.CollectAsync(generations[1])).Tokens);
        var metrics = await harness.Metrics.ExportAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain("vllm:num_preemptions_total{model_name=\"toy\"} 0", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_preempted_sequence_goes_on_before_a_newcomer()
    {
        using var begun = new SemaphoreSlim(0);
        var begins = new List<(long Step, int Token)>();
        var step = 0L;
        var model = new ToyModel
        {
            Held = true,
            BeforeStep = chunks =>
            {
                begun.Release();
                step++;
                begins.AddRange(chunks.Where(chunk => chunk.Kv.Length == 0).Select(chunk => (step, chunk.Tokens.Span[0])));
            },
        };
        await using var harness = new EngineHarness(blocks: 20, sequences: 2, model: model);

        // The second is preempted; the newcomer's party has been served nothing, and it would fit beside the first.
        var generations = harness.Engine.Submit([EngineHarness.Greedy([1, 2, 3, 4, 5], 50, "busy"), EngineHarness.Greedy([9, 8, 7, 6, 5], 50, "busy")]).ToList();
        await Eventually.EndsAsync(begun.WaitAsync(TestContext.Current.CancellationToken));
        generations.Add(harness.Submit(EngineHarness.Greedy([7, 7, 7], 2, "idle")));
        harness.Model.Gate.Release(1000);
        foreach (var generation in generations)
            Assert.Equal(FinishReason.Length, (await EngineHarness.CollectAsync(generation)).Finish);
        var again = begins.Where(begin => begin.Token == 9).ToList();
        Assert.Equal(2, again.Count);
        Assert.True(again[1].Step <= begins.Single(begin => begin.Token == 7).Step, string.Join(' ', begins));
    }

    [Fact]
    public async Task A_tenant_that_comes_back_has_earned_nothing_by_idling()
    {
        using var reached = new SemaphoreSlim(0);
        var begins = new List<int>();
        var model = new ToyModel();
        model.BeforeStep = chunks =>
        {
            begins.AddRange(chunks.Where(chunk => chunk.Kv.Length == 0).Select(chunk => chunk.Tokens.Span[0]));
            if (model.Computed != 100)
                return;
            reached.Release();
            model.Gate.Wait();
        };
        await using var harness = new EngineHarness(sequences: 1, model: model);
        await harness.RunAsync(EngineHarness.Greedy([1], 1, "idle"));
        var generations = new List<Generation> { harness.Submit(EngineHarness.Greedy([2], 150, "busy")) };
        await Eventually.EndsAsync(reached.WaitAsync(TestContext.Current.CancellationToken));

        // The idle tenant starts at what the busy one has been served by now, and its first answer takes it past that one.
        generations.Add(harness.Submit(EngineHarness.Greedy([3], 60, "busy")));
        generations.Add(harness.Submit(EngineHarness.Greedy([4], 60, "idle")));
        generations.Add(harness.Submit(EngineHarness.Greedy([5], 60, "idle")));
        model.Gate.Release(1);
        foreach (var generation in generations)
            await EngineHarness.CollectAsync(generation);
        Assert.Equal([1, 2, 4, 3, 5], begins);
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_output_whatever_else_runs()
    {
        var request = EngineHarness.Greedy(Prompts[5], 30) with { Sampling = new SamplingSettings { Temperature = 0.9, TopP = 0.95, Seed = 42, Logprobs = 0 } };
        List<int> alone;
        await using (var harness = new EngineHarness())
            alone = (await harness.RunAsync(request)).Tokens;
        await using var crowded = new EngineHarness(blocks: 60, batchTokens: 9);
        var others = Prompts.Take(10).Select(prompt => crowded.Submit(request with { Prompt = prompt, Sampling = request.Sampling with { Seed = prompt.Length } })).ToList();
        Assert.Equal(alone, (await crowded.RunAsync(request)).Tokens);
        Assert.NotEqual(alone, (await crowded.RunAsync(request with { Sampling = request.Sampling with { Seed = 43 } })).Tokens);
        foreach (var other in others)
            await EngineHarness.CollectAsync(other);
    }

    [Fact]
    public async Task Cancelling_frees_everything_within_one_step()
    {
        var model = new ToyModel { Held = true };
        await using var harness = new EngineHarness(model: model);
        var kept = harness.Submit(EngineHarness.Greedy(Prompts[1], 4));
        var cancelled = harness.Submit(EngineHarness.Greedy(Prompts[2], 100));
        harness.Model.Gate.Release(1);
        await Eventually.EndsAsync(kept.Events.Reader.WaitToReadAsync(TestContext.Current.CancellationToken).AsTask());
        cancelled.Cancel();
        harness.Model.Gate.Release(1);

        // Its end is told after the step under way, and by then its memory is free.
        var finish = (await EngineHarness.CollectAsync(cancelled)).Finish;
        Assert.Equal(FinishReason.Abort, finish);
        harness.Model.Gate.Release(100);
        Assert.Equal(ToyModel.Continue(Prompts[1], 4), (await EngineHarness.CollectAsync(kept)).Tokens);
        cancelled.Cancel();
        await harness.DisposeAsync();
        Assert.Equal(0, model.Live);
        Assert.True(model.Computed < 50, $"{model.Computed} tokens were computed");
    }

    [Fact]
    public async Task A_full_queue_refuses_all_or_nothing()
    {
        var model = new ToyModel { Held = true };
        await using var harness = new EngineHarness(sequences: 1, queued: 2, model: model);
        var accepted = new List<Generation> { harness.Submit(EngineHarness.Greedy([1], 2)), harness.Submit(EngineHarness.Greedy([2], 2)) };
        Assert.Throws<QueueFullException>(() => harness.Engine.Submit([EngineHarness.Greedy([3], 2), EngineHarness.Greedy([4], 2)]));
        accepted.Add(harness.Submit(EngineHarness.Greedy([3], 2)));
        Assert.Throws<QueueFullException>(() => harness.Submit(EngineHarness.Greedy([4], 2)));
        harness.Model.Gate.Release(1000);
        foreach (var generation in accepted)
            Assert.Equal(FinishReason.Length, (await EngineHarness.CollectAsync(generation)).Finish);
        Assert.Equal(FinishReason.Length, (await harness.RunAsync(EngineHarness.Greedy([4], 2))).Finish);
    }

    [Fact]
    public async Task A_queue_that_one_tenant_fills_has_room_for_another()
    {
        await using var harness = new EngineHarness(sequences: 2, queued: 4, model: new ToyModel { Held = true });
        var noisy = Enumerable.Range(1, 6).Select(i => harness.Submit(EngineHarness.Greedy([i], 2, "noisy"))).ToList();
        Assert.Throws<QueueFullException>(() => harness.Submit(EngineHarness.Greedy([9], 2, "noisy")));
        var quiet = Enumerable.Range(1, 3).Select(i => harness.Submit(EngineHarness.Greedy([i], 2, "quiet"))).ToList();
        Assert.Throws<QueueFullException>(() => harness.Submit(EngineHarness.Greedy([9], 2, "quiet")));
        Assert.Throws<QueueFullException>(() => harness.Submit(EngineHarness.Greedy([9], 2, "noisy")));
        harness.Model.Gate.Release(1000);
        foreach (var generation in noisy.Concat(quiet))
            Assert.Equal(FinishReason.Length, (await EngineHarness.CollectAsync(generation)).Finish);
    }

    [Fact]
    public async Task A_step_that_fails_ends_its_sequences_and_the_engine_goes_on()
    {
        var fail = true;
        var model = new ToyModel { BeforeStep = _ => { if (fail) throw new InvalidOperationException("broken"); } };
        await using var harness = new EngineHarness(model: model);
        Assert.Equal(FinishReason.Error, (await harness.RunAsync(EngineHarness.Greedy([1, 2], 3))).Finish);
        fail = false;
        Assert.Equal(ToyModel.Continue([1, 2], 3), (await harness.RunAsync(EngineHarness.Greedy([1, 2], 3))).Tokens);
    }

    [Fact]
    public async Task What_fails_with_one_sequence_ends_that_one_and_no_other_of_its_step()
    {
        var together = 0;
        var model = new ToyModel
        {
            BeforeStep = chunks =>
            {
                if (!chunks.Any(chunk => chunk.Tokens.Span.Contains(4)))
                    return;
                together = Math.Max(together, chunks.Count);
                throw new InvalidOperationException("the expert of token 4 is damaged");
            },
        };
        await using var harness = new EngineHarness(model: model);
        var generations = harness.Engine.Submit([EngineHarness.Greedy([1, 2], 1), EngineHarness.Greedy([3, 4], 1), EngineHarness.Greedy([5, 6], 1)]);
        Assert.Equal(ToyModel.Continue([1, 2], 1), (await EngineHarness.CollectAsync(generations[0])).Tokens);
        Assert.Equal(FinishReason.Error, (await EngineHarness.CollectAsync(generations[1])).Finish);
        Assert.Equal(ToyModel.Continue([5, 6], 1), (await EngineHarness.CollectAsync(generations[2])).Tokens);
        Assert.Equal(3, together);
    }

    [Fact]
    public async Task A_choice_that_fails_ends_its_sequence_alone()
    {
        await using var harness = new EngineHarness();
        var broken = EngineHarness.Greedy([1, 2], 3);
        broken = broken with { Sampling = broken.Sampling with { LogitBias = new BrokenBias() } };
        var generations = harness.Engine.Submit([broken, EngineHarness.Greedy([1, 2], 3)]);
        Assert.Equal(FinishReason.Error, (await EngineHarness.CollectAsync(generations[0])).Finish);
        Assert.Equal(ToyModel.Continue([1, 2], 3), (await EngineHarness.CollectAsync(generations[1])).Tokens);
    }

    [Fact]
    public async Task Draining_lets_running_requests_end_and_takes_no_new_ones()
    {
        await using var harness = new EngineHarness(model: new ToyModel { Held = true });
        var running = harness.Submit(EngineHarness.Greedy([1, 2], 5));
        var drain = harness.Engine.DrainAsync(TestContext.Current.CancellationToken);
        Assert.Throws<EngineStoppedException>(() => harness.Submit(EngineHarness.Greedy([1], 1)));
        Assert.False(drain.IsCompleted);
        harness.Model.Gate.Release(100);
        Assert.Equal(ToyModel.Continue([1, 2], 5), (await EngineHarness.CollectAsync(running)).Tokens);
        await Eventually.EndsAsync(drain);
    }

    [Fact]
    public async Task What_comes_in_while_a_drain_ends_is_ended_too()
    {
        await using var harness = new EngineHarness(sequences: 1, queued: 0);
        var request = EngineHarness.Greedy([1, 2], 1);
        // It looks at the requests after it has seen that nothing drains, and is held there until the drain is over.
        using var slow = new HeldList(request);
        var submitting = Task.Run(() => harness.Engine.Submit(slow), TestContext.Current.CancellationToken);
        await Eventually.EndsAsync(slow.Reached);
        await Eventually.EndsAsync(harness.Engine.DrainAsync(TestContext.Current.CancellationToken));
        slow.GoOn();
        var generation = Assert.Single(await Eventually.EndsAsync(submitting));
        Assert.Equal(FinishReason.Abort, (await EngineHarness.CollectAsync(generation)).Finish);
        // Its room is free again.
        harness.Engine.CheckRoom(request.Tenant);
    }

    [Fact]
    public async Task A_drain_that_takes_too_long_cancels()
    {
        await using var harness = new EngineHarness(model: new ToyModel { Held = true });
        var running = harness.Submit(EngineHarness.Greedy([1, 2], 500));
        using var patience = new CancellationTokenSource();
        var drain = harness.Engine.DrainAsync(patience.Token);
        await patience.CancelAsync();
        harness.Model.Gate.Release(1);
        await Eventually.EndsAsync(drain);
        Assert.Equal(FinishReason.Abort, (await EngineHarness.CollectAsync(running)).Finish);
    }

    [Fact]
    public async Task A_stop_text_ends_the_output_however_tokens_cut_it()
    {
        await using var harness = new EngineHarness();
        var full = (await harness.RunAsync(EngineHarness.Greedy(Prompts[3], 60))).Text;
        for (var start = 10; start < 30; start += 4)
        {
            var stop = full.Substring(start, 5);
            var (text, _, finish) = await harness.RunAsync(EngineHarness.Greedy(Prompts[3], 60) with { Stop = ["never in it", stop] });
            Assert.Equal(full[..full.IndexOf(stop, StringComparison.Ordinal)], text);
            Assert.Equal(FinishReason.Stop, finish);
        }
    }

    [Fact]
    public async Task End_of_sequence_ends_the_output_unless_it_is_ignored()
    {
        await using var harness = new EngineHarness();
        var request = EngineHarness.Greedy(Prompts[3], 10) with { Sampling = new SamplingSettings { Temperature = 0, Logprobs = 0, LogitBias = new Dictionary<int, float> { [0] = 100 } } };
        var (text, tokens, finish) = await harness.RunAsync(request);
        Assert.Equal(("", FinishReason.Stop), (text, finish));
        Assert.Equal([0], tokens);
        Assert.Equal(Enumerable.Repeat(0, 10), (await harness.RunAsync(request with { IgnoreEndOfSequence = true })).Tokens);
    }

    [Fact]
    public async Task Tokens_that_end_the_output_wait_for_the_least_number_and_change_no_log_probability()
    {
        await using var harness = new EngineHarness();
        var biased = EngineHarness.Greedy(Prompts[3], 10) with { Sampling = new SamplingSettings { Temperature = 0, Logprobs = 0, LogitBias = new Dictionary<int, float> { [0] = 100, [7] = 50 } } };
        Assert.Equal([7, 7, 7, 0], (await harness.RunAsync(biased with { MinTokens = 3 })).Tokens);
        Assert.Equal([0, 0, 0], (await harness.RunAsync(biased with { IgnoreEndOfSequence = true, MinTokens = 3, MaxTokens = 3 })).Tokens);
        var (text, tokens, finish) = await harness.RunAsync(biased with { StopTokens = new HashSet<int> { 7 }, IgnoreEndOfSequence = true, Sampling = biased.Sampling with { LogitBias = new Dictionary<int, float> { [7] = 50 } } });
        Assert.Equal(("", FinishReason.Stop), (text, finish));
        Assert.Equal([7], tokens);
    }

    /// <summary>Stands for a bug that only one request's settings reach.</summary>
    private sealed class BrokenBias : ReadOnlyDictionary<int, float>, IReadOnlyDictionary<int, float>
    {
        public BrokenBias()
            : base(new Dictionary<int, float> { [1] = 1 })
        {
        }

        IEnumerator<KeyValuePair<int, float>> IEnumerable<KeyValuePair<int, float>>.GetEnumerator() => throw new InvalidOperationException("broken");
    }

    /// <summary>One request, which whoever goes through the list waits for.</summary>
    private sealed class HeldList(EngineRequest request) : IReadOnlyList<EngineRequest>, IDisposable
    {
        private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ManualResetEventSlim _go = new();

        public Task Reached => _reached.Task;

        public int Count => 1;

        public EngineRequest this[int index] => request;

        public void GoOn() => _go.Set();

        public IEnumerator<EngineRequest> GetEnumerator()
        {
            _reached.TrySetResult();
            _go.Wait(Eventually.Limit);
            yield return request;
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        public void Dispose() => _go.Dispose();
    }
}
