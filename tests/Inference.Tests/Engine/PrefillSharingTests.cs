using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

/// <summary>Requests that begin together and have a prefix in common.</summary>
public class PrefillSharingTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(100, 24)];

    [Fact]
    public async Task A_tenants_requests_that_begin_together_compute_their_prefix_once()
    {
        await using var harness = new EngineHarness();
        var generations = harness.Engine.Submit([.. Enumerable.Range(0, 4).Select(i => EngineHarness.Greedy([.. Prompt, i], 6, "alice"))]);
        for (var i = 0; i < generations.Count; i++)
        {
            Assert.Equal(ToyModel.Continue([.. Prompt, i], 6), (await EngineHarness.CollectAsync(generations[i])).Tokens);
            Assert.Equal(i == 0 ? 0 : 24, generations[i].CachedTokens);
        }

        Assert.Equal(24 + (4 * 6), harness.Model.Computed);
        Assert.Contains("moebius_prefill_shared_tokens_total{model_name=\"toy\"} 72", await harness.Metrics.ExportAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_that_ends_with_its_first_token_leaves_its_prefix_to_those_that_wait_for_it()
    {
        await using var harness = new EngineHarness();
        var generations = harness.Engine.Submit([.. Enumerable.Range(0, 4).Select(i => EngineHarness.Greedy([.. Prompt, i], 1, "alice"))]);
        for (var i = 0; i < generations.Count; i++)
        {
            Assert.Equal(ToyModel.Continue([.. Prompt, i], 1), (await EngineHarness.CollectAsync(generations[i])).Tokens);
            Assert.Equal(i == 0 ? 0 : 24, generations[i].CachedTokens);
        }

        Assert.Equal(24 + 4, harness.Model.Computed);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(14, 12)]
    [InlineData(24, 24)]
    public async Task Other_tenants_take_what_is_public_and_no_more(int publicTokens, int shared)
    {
        // The step of another one holds the engine until both are there.
        await using var harness = new EngineHarness(model: new ToyModel { Held = true });
        harness.Submit(EngineHarness.Greedy([1], 1, "carol"));
        var generations = new[] { "alice", "bob" }.Select(tenant => harness.Submit(EngineHarness.Greedy([.. Prompt, 7], 6, tenant) with { PublicTokens = publicTokens })).ToList();
        harness.Model.Gate.Release(1000);
        foreach (var generation in generations)
            Assert.Equal(ToyModel.Continue([.. Prompt, 7], 6), (await EngineHarness.CollectAsync(generation)).Tokens);
        Assert.Equal((0, shared), (generations[0].CachedTokens, generations[1].CachedTokens));
        Assert.Equal(1 + (2 * 30) - shared, harness.Model.Computed);
    }

    [Fact]
    public async Task Cancelling_the_one_that_computes_lets_the_others_go_on()
    {
        var model = new ToyModel();
        await using var harness = new EngineHarness(batchTokens: 4, model: model);
        IReadOnlyList<Generation> generations = [];
        var begun = new TaskCompletionSource();
        model.BeforeStep = chunks =>
        {
            if (model.Computed != 8)
                return;
            // Whoever waits is not in the step.
            Assert.Single(chunks);
            begun.Task.Wait(TestContext.Current.CancellationToken);
            generations[0].Cancel();
        };
        generations = harness.Engine.Submit([.. Enumerable.Range(0, 3).Select(i => EngineHarness.Greedy([.. Prompt, i], 6, "alice"))]);
        begun.SetResult();
        Assert.Equal(FinishReason.Abort, (await EngineHarness.CollectAsync(generations[0])).Finish);
        foreach (var i in new[] { 1, 2 })
            Assert.Equal(ToyModel.Continue([.. Prompt, i], 6), (await EngineHarness.CollectAsync(generations[i])).Tokens);
        // The block of the step in which it was cancelled is lost.
        Assert.Equal(24 + 4 + (2 * 6), model.Computed);
    }

    [Fact]
    public async Task Under_memory_pressure_with_two_tenants_every_answer_is_right()
    {
        var cache = new MemoryPrefixCache();
        await using var harness = new EngineHarness(blocks: 28, batchTokens: 7, cache: cache);
        var prompts = Enumerable.Range(0, 16).Select(i => (int[])[.. Prompt.Take(9 + (i % 5 * 3)), i % 3]).ToList();
        var generations = prompts.Select((prompt, i) => harness.Submit(EngineHarness.Greedy(prompt, 30, i % 2 == 0 ? "alice" : "bob") with { PublicTokens = 10 })).ToList();
        generations[3].Cancel();
        for (var i = 0; i < prompts.Count; i++)
        {
            var (_, tokens, finish) = await EngineHarness.CollectAsync(generations[i]);
            if (i == 3)
                continue;
            Assert.Equal(FinishReason.Length, finish);
            Assert.Equal(ToyModel.Continue(prompts[i], 30), tokens);
        }

        await harness.DisposeAsync();
        Assert.Equal(0, harness.Model.Live);
        // The lookup of what was cancelled may answer later than the engine ends.
        await Eventually.TrueAsync(() => Volatile.Read(ref cache.Open) == 0);
        Assert.True(harness.Model.PeakTokens <= 28 * 4);
    }
}
