using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Experts;

public class ExpertBudgetTests
{
    [Theory]
    [InlineData(1.0)]
    [InlineData(1.9)]
    [InlineData(4.5)]
    public void Residency_stays_within_any_budget_through_prefill_and_decode(double multiple)
    {
        var directory = TestModels.Golden("qwen2_moe");
        var budget = (long)(TestModels.SmallestBudget(directory) * multiple);
        using var model = TestModels.Load(directory, budget);
        using var kv = model.CreateSequence();
        int[] prompt = [.. Enumerable.Range(3, 60)];
        model.Forward([new SequenceChunk(kv, prompt, LogitsFor.None)]);
        for (var i = 0; i < 30; i++)
        {
            model.Forward([new SequenceChunk(kv, new[] { 3 + i * 11 }, LogitsFor.Last)]);
            Assert.InRange(model.Experts.ResidentBytes, 1, budget);
        }
        var statistics = model.Experts;
        Assert.Equal(budget, statistics.BudgetBytes);
        Assert.True(statistics.Misses > 0 && statistics.Evictions > 0);
        Assert.True(statistics.StallSeconds > 0);
        var expert = 3L * 64 * 48 * 4;
        Assert.Equal(statistics.Misses * expert, statistics.LoadedBytes);
    }

    [Fact]
    public void A_budget_for_all_experts_loads_each_once()
    {
        using var model = TestModels.Load(TestModels.Golden("mixtral"));
        var loaded = model.Experts.LoadedBytes;
        Assert.Equal(model.Experts.BudgetBytes, model.Experts.ResidentBytes);
        using var kv = model.CreateSequence();
        model.Forward([new SequenceChunk(kv, new[] { 3, 4, 5 }, LogitsFor.Last)]);
        Assert.Equal(loaded, model.Experts.LoadedBytes);
        Assert.Equal(0, model.Experts.Misses);
        Assert.True(model.Experts.Hits > 0);
    }
}
