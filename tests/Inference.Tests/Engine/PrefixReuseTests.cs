using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class PrefixReuseTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(100, 24)];

    [Fact]
    public async Task The_same_tenant_prefills_only_the_last_block_and_says_the_same()
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(cache: cache);
        var first = harness.Submit(EngineHarness.Greedy(Prompt, 12, "alice"));
        var (_, tokens, _) = await EngineHarness.CollectAsync(first);
        await Settled(harness, cache);
        var computed = harness.Model.Computed;

        var second = harness.Submit(EngineHarness.Greedy(Prompt, 12, "alice"));
        Assert.Equal(tokens, (await EngineHarness.CollectAsync(second)).Tokens);
        Assert.Equal((0, 20), (first.CachedTokens, second.CachedTokens));
        Assert.Equal(4 + 11, harness.Model.Computed - computed);

        var other = harness.Submit(EngineHarness.Greedy(Prompt, 12, "bob"));
        Assert.Equal(tokens, (await EngineHarness.CollectAsync(other)).Tokens);
        Assert.Equal(0, other.CachedTokens);
    }

    [Fact]
    public async Task Blocks_of_the_answer_are_reused_too()
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(cache: cache);
        var (_, tokens, _) = await harness.RunAsync(EngineHarness.Greedy(Prompt, 41, "alice"));
        await Settled(harness, cache);
        int[] conversation = [.. Prompt, .. tokens, 7];
        var next = harness.Submit(EngineHarness.Greedy(conversation, 5, "alice"));
        Assert.Equal(ToyModel.Continue(conversation, 5), (await EngineHarness.CollectAsync(next)).Tokens);

        // The answer's last token was never computed, so its block is not full in the cache.
        Assert.Equal(64, next.CachedTokens);
    }

    [Fact]
    public async Task Blocks_that_turn_out_void_are_recomputed()
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(cache: cache);
        await harness.RunAsync(EngineHarness.Greedy(Prompt, 4, "alice"));
        await Settled(harness, cache);
        cache.Stale = true;
        var again = harness.Submit(EngineHarness.Greedy(Prompt, 12, "alice"));
        Assert.Equal(ToyModel.Continue(Prompt, 12), (await EngineHarness.CollectAsync(again)).Tokens);
        Assert.Equal(0, again.CachedTokens);
    }

    [Fact]
    public async Task A_cache_that_fails_or_is_full_changes_nothing()
    {
        var cache = new MemoryPrefixCache { Room = 2, BeforeLookup = () => throw new InvalidOperationException("gone") };
        await using var harness = new EngineHarness(cache: cache);
        Assert.Equal(ToyModel.Continue(Prompt, 40), (await harness.RunAsync(EngineHarness.Greedy(Prompt, 40, "alice"))).Tokens);
        await harness.DisposeAsync();
        await Eventually.TrueAsync(() => Volatile.Read(ref cache.Open) == 0);
    }

    [Fact]
    public async Task Cancelling_during_a_lookup_gives_everything_back()
    {
        var looking = new TaskCompletionSource();
        var answer = new TaskCompletionSource();
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(cache: cache);
        await harness.RunAsync(EngineHarness.Greedy(Prompt, 4, "alice"));
        await Settled(harness, cache);
        cache.BeforeLookup = () =>
        {
            looking.SetResult();
            return answer.Task;
        };
        var cancelled = harness.Submit(EngineHarness.Greedy(Prompt, 4, "alice"));
        await Eventually.EndsAsync(looking.Task);
        cancelled.Cancel();
        Assert.Equal(FinishReason.Abort, (await EngineHarness.CollectAsync(cancelled)).Finish);
        answer.SetResult();
        await Settled(harness, cache);
        Assert.Equal(0, harness.Model.Live);
    }

    [Fact]
    public async Task A_cache_that_does_not_answer_holds_no_end()
    {
        var answer = new TaskCompletionSource();
        var cache = new MemoryPrefixCache { BeforeReserve = () => answer.Task };
        var harness = new EngineHarness(cache: cache);
        await harness.RunAsync(EngineHarness.Greedy(Prompt, 4, "alice"));
        await harness.DisposeAsync();
        Assert.Equal(0, harness.Model.Live);
        answer.SetResult();
        await Eventually.TrueAsync(() => cache.Open == 0);
    }

    [Fact]
    public async Task Draining_waits_for_the_last_offer_while_it_may()
    {
        var answer = new TaskCompletionSource();
        var cache = new MemoryPrefixCache { BeforeReserve = () => answer.Task };
        await using var harness = new EngineHarness(cache: cache);
        await harness.RunAsync(EngineHarness.Greedy(Prompt, 4, "alice"));
        var drained = harness.Engine.DrainAsync(TestContext.Current.CancellationToken);
        answer.SetResult();
        await Eventually.EndsAsync(drained, "the end of a drain");
        Assert.Equal(6, cache.Count);
    }

    [Fact]
    public async Task What_was_preempted_while_it_was_offered_is_offered_again()
    {
        var room = new TaskCompletionSource();
        var cache = new MemoryPrefixCache { BeforeReserve = () => room.Task };
        await using var harness = new EngineHarness(blocks: 24, cache: cache);
        // Too short to be looked up, so that both begin in the same step; together they do not fit.
        int[] first = [.. Prompt.Take(4)], second = [.. first.Select(token => token + 200)];
        var generations = harness.Engine.Submit([EngineHarness.Greedy(first, 61, "alice"), EngineHarness.Greedy(second, 61, "alice")]);
        await Eventually.TrueAsync(async () => !(await harness.Metrics.ExportAsync(TestContext.Current.CancellationToken)).Contains("num_preemptions_total{model_name=\"toy\"} 0", StringComparison.Ordinal));
        room.SetResult();
        foreach (var (generation, prompt) in generations.Zip([first, second]))
            Assert.Equal(ToyModel.Continue(prompt, 61), (await EngineHarness.CollectAsync(generation)).Tokens);
        await Settled(harness, cache);
        foreach (var prompt in new[] { first, second })
        {
            var again = harness.Submit(EngineHarness.Greedy([.. prompt, 7], 1, "alice"));
            await EngineHarness.CollectAsync(again);
            Assert.Equal(prompt.Length, again.CachedTokens);
        }
    }

    [Fact]
    public async Task Under_memory_pressure_with_a_cache_every_answer_is_right()
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(blocks: 24, cache: cache);
        var prompts = Enumerable.Range(0, 12).Select(i => (int[])[.. Prompt.Take(8 + (i % 3 * 4)), i]).ToList();
        var generations = prompts.Select(prompt => harness.Submit(EngineHarness.Greedy(prompt, 30, "alice"))).ToList();
        for (var i = 0; i < prompts.Count; i++)
            Assert.Equal(ToyModel.Continue(prompts[i], 30), (await EngineHarness.CollectAsync(generations[i])).Tokens);
        await harness.DisposeAsync();
        Assert.Equal(0, harness.Model.Live);
        await Eventually.TrueAsync(() => Volatile.Read(ref cache.Open) == 0);
        Assert.True(harness.Model.PeakTokens <= 24 * 4);
    }

    // A model whose keys depend on the length of a sequence beyond some tokens (longrope) refuses blocks of others there.
    [Theory]
    [InlineData(23, 0, 0)]
    [InlineData(24, 20, 6)]
    [InlineData(30, 20, 7)]
    public async Task Sequences_too_long_to_share_are_neither_offered_nor_looked_up(int sharedUpTo, int reused, int offered)
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(cache: cache, model: new ToyModel(kvSharedUpTo: sharedUpTo));
        for (var time = 0; time < 2; time++)
        {
            var generation = harness.Submit(EngineHarness.Greedy(Prompt, 12, "alice"));
            Assert.Equal(ToyModel.Continue(Prompt, 12), (await EngineHarness.CollectAsync(generation)).Tokens);
            await Settled(harness, cache);
            Assert.Equal(time * reused, generation.CachedTokens);
            Assert.Equal(offered, cache.Count);
        }
    }

    [Fact]
    public async Task What_was_preempted_while_it_was_looked_up_counts_what_it_finds_then()
    {
        var answer = new TaskCompletionSource();
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(blocks: 24, cache: cache);
        await harness.RunAsync(EngineHarness.Greedy(Prompt, 4, "alice"));
        await Settled(harness, cache);
        cache.BeforeLookup = () => answer.Task;
        // The first is too short to be looked up, and grows until the memory is its own.
        int[] other = [7, 8, 9];
        var generations = harness.Engine.Submit([EngineHarness.Greedy(other, 90, "alice"), EngineHarness.Greedy(Prompt, 4, "alice")]);
        await Eventually.TrueAsync(async () => !(await harness.Metrics.ExportAsync(TestContext.Current.CancellationToken)).Contains("num_preemptions_total{model_name=\"toy\"} 0", StringComparison.Ordinal));
        answer.SetResult();
        Assert.Equal(ToyModel.Continue(other, 90), (await EngineHarness.CollectAsync(generations[0])).Tokens);
        Assert.Equal(ToyModel.Continue(Prompt, 4), (await EngineHarness.CollectAsync(generations[1])).Tokens);
        Assert.Equal(20, generations[1].CachedTokens);
    }

    [Fact]
    public async Task A_request_is_one_use_of_what_is_cached_however_many_choices_it_has_and_however_often_it_is_preempted()
    {
        var cache = new MemoryPrefixCache();
        await using (var harness = new EngineHarness(cache: cache))
        {
            var choices = new ChoiceGroup(5);
            var request = EngineHarness.Greedy(Prompt, 4, "alice") with { Choices = choices };
            foreach (var generation in harness.Engine.Submit([request, request, request, request, request]))
                Assert.Equal(ToyModel.Continue(Prompt, 4), (await EngineHarness.CollectAsync(generation)).Tokens);
            await harness.RunAsync(EngineHarness.Greedy(Prompt, 4, "alice"));
        }

        Assert.Equal([false, false, true, true, true, true], cache.Lookups.Order());
        Assert.False(cache.Lookups.Last());

        // Neither begins before both are looked up, and a sequence alone takes its time: so the two meet in the batch.
        var both = new TaskCompletionSource();
        cache = new MemoryPrefixCache { Room = 0 };
        cache.BeforeLookup = () =>
        {
            if (cache.Lookups.Count >= 2)
                both.TrySetResult();
            return both.Task;
        };
        var model = new ToyModel { BeforeStep = chunks => Thread.Sleep(chunks.Count == 1 ? 10 : 0) };
        await using (var harness = new EngineHarness(blocks: 20, cache: cache, model: model))
        {
            // 20 blocks of 4 tokens: two sequences that grow to 55 tokens each cannot both stay.
            foreach (var generation in harness.Engine.Submit([EngineHarness.Greedy([1, 2, 3, 4, 5], 50), EngineHarness.Greedy([9, 8, 7, 6, 5], 50)]))
                await EngineHarness.CollectAsync(generation);
        }

        Assert.Equal(2, cache.Lookups.Count(static again => !again));
        Assert.Contains(true, cache.Lookups);
    }

    // The last offer of a finished answer is under way for a moment.
    private static Task Settled(EngineHarness harness, MemoryPrefixCache cache) =>
        Eventually.TrueAsync(() => harness.Model.Live == 0 && Volatile.Read(ref cache.Open) == 0);
}
