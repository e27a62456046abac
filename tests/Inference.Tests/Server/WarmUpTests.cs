using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Server;
using Moebius.Inference.Tests.Engine;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Server;

[Trait("Category", "Component")]
public class WarmUpTests
{
    [Fact]
    public async Task It_computes_and_leaves_neither_sequences_nor_metrics()
    {
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { WarmUp = true });
        Assert.True(harness.Model.Computed > 100, $"{harness.Model.Computed}");
        Assert.Equal(0, harness.Model.Live);
        var metrics = await harness.GetAsync("metrics");
        Assert.Contains("\nvllm:generation_tokens_total{model_name=\"toy\"} 0\n", metrics, StringComparison.Ordinal);
        Assert.Contains("\nvllm:prompt_tokens_total{model_name=\"toy\"} 0\n", metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("warm-up", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_it_counts_of_experts_can_be_taken_off_and_the_budget_holds()
    {
        var budget = TestModels.SmallestBudget(TestModels.Golden("qwen2_moe"));
        using var model = TestModels.Load(TestModels.Golden("qwen2_moe"), budget);
        var counted = await Run(model);
        Assert.True(counted.Misses > 0 && counted.LoadedBytes > 0);
        Assert.InRange(model.Experts.ResidentBytes, 1, budget);
        var left = model.Experts.Since(counted);
        Assert.Equal((0, 0, 0, 0.0, 0), (left.Hits, left.Misses, left.Evictions, left.StallSeconds, left.LoadedBytes));
        Assert.Equal((model.Experts.ResidentBytes, budget), (left.ResidentBytes, left.BudgetBytes));
    }

    [Fact]
    public async Task A_model_that_cannot_compute_fails_to_load()
    {
        var model = new ToyModel { BeforeStep = _ => throw new UserInputException("a weight is broken") };
        await Assert.ThrowsAsync<UserInputException>(() => Run(model));
        Assert.Equal(0, model.Live);
    }

    private static Task<ExpertStatistics> Run(ICausalModel model) => WarmUp.RunAsync(
        model, Tokenizer.Load(Fixtures.Model), ChatTemplate.Load(Fixtures.Model), new SchedulerLimits(4, 64, model.Info.BlockTokens, 100), TimeProvider.System, NullLogger.Instance);
}
