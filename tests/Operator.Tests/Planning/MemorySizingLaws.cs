using FsCheck;
using FsCheck.Fluent;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Tests.Planning;

/// <summary>What holds for every model and every budget.</summary>
public sealed class MemorySizingLaws
{
    private static readonly Arbitrary<(ModelFacts Facts, MemoryBudget Budget)> Cases = (
        from dense in Bytes
        from smallest in Gen.Choose(1, 1000)
        from layers in Gen.Choose(1, 64)
        from fast in Gen.OneOf(Gen.Constant<long?>(null), Bytes.Select(bytes => (long?)bytes))
        from kv in Bytes
        from arena in Bytes
        from limit in Gen.OneOf(Gen.Constant<long?>(null), Bytes.Select(bytes => (long?)bytes * 4))
        from step in Gen.Choose(0, 1 << 20)
        from tokens in Gen.Choose(16, 4096)
        from block in Gen.Choose(0, 1024)
        from predictor in Gen.OneOf(Gen.Constant<PredictorFacts?>(null), Bytes.Select(bytes => (PredictorFacts?)new PredictorFacts(bytes, bytes / 4, layers, 2048)))
        from ahead in Gen.OneOf(Gen.Constant<int?>(null), Gen.Choose(0, 64).Select(count => (int?)count))
        select (new ModelFacts(dense, (long)smallest * layers << 16, (long)smallest << 16, 4096, step, predictor), new MemoryBudget(fast, kv, arena, limit, tokens, block, ahead))).ToArbitrary();

    private static Gen<long> Bytes => Gen.Choose(0, 1 << 20).Select(pages => (long)pages << 12);

    [Property(MaxTest = 1000)]
    public Property What_is_proposed_fits_and_a_byte_more_does_not() => Prop.ForAll(Cases, one =>
    {
        var (facts, budget) = one;
        if (MemorySizing.Plan(facts, budget).ProposedFastMemory is not { } proposal)
            return;
        Assert.Null(MemorySizing.Plan(facts, budget with { FastMemory = proposal }).Refusal);
        if (proposal < facts.ExpertBytes)
            Assert.NotNull(MemorySizing.Plan(facts, budget with { FastMemory = proposal + 1 }).Refusal);
    });

    [Property(MaxTest = 1000)]
    public Property A_refusal_says_what_would_be_right_and_only_what_fits_is_taken() => Prop.ForAll(Cases, one =>
    {
        var (facts, budget) = one;
        var need = MemorySizing.Plan(facts, budget);
        if (need.Refusal is null)
            Assert.True(budget.Limit is null || need.Needed <= budget.Limit);
        else
            Assert.Matches("(raise|set|lower) ", need.Refusal);
        if (need.Refusal?.Contains("raise the limit", StringComparison.Ordinal) == true)
            Assert.Null(MemorySizing.Plan(facts, budget with { Limit = need.Needed }).Refusal);
        // What does not fit with a limit fits without one, unless the expert budget or the arena itself is too small.
        if (budget.FastMemory is null || budget.FastMemory >= facts.SmallestExpertBytes)
            Assert.Null(MemorySizing.Plan(facts, budget with { Limit = null, Arena = budget.Arena == 0 ? 0 : 1L << 33 }).Refusal);
    });

    [Property(MaxTest = 1000)]
    public Property To_foresee_takes_memory_unless_there_is_nothing_to_foresee() => Prop.ForAll(Cases, one =>
    {
        var (facts, budget) = one;
        long Needed(MemoryBudget budget) => MemorySizing.Plan(facts, budget).Needed;
        var asked = Needed(budget) - Needed(budget with { LayersAhead = null });
        if (budget.LayersAhead is not { } ahead || facts.Predictor is not { } predictor || budget.FastMemory is not { } fast || fast >= facts.ExpertBytes)
            Assert.Equal(0, asked);
        else
            Assert.InRange(asked - predictor.BytesFor(ahead), 0, predictor.StepBytesPerLayerAhead * Math.Min(ahead, predictor.Layers) * budget.BatchTokens);
    });

    [Theory]
    [InlineData(0, 100)]
    [InlineData(3, 130)]
    [InlineData(8, 140)]
    [InlineData(64, 140)]
    public void A_predictor_looks_no_farther_than_there_are_layers(int ahead, long bytes) =>
        Assert.Equal(bytes, new PredictorFacts(100, 10, 4, 0).BytesFor(ahead));

    [Theory]
    [InlineData(PrefetchMode.OnDemand, null)]
    [InlineData(PrefetchMode.Fixed, 3)]
    [InlineData(PrefetchMode.Adaptive, 12)]
    public void How_far_ahead_is_the_horizon_of_the_mode(PrefetchMode mode, int? layers) =>
        Assert.Equal(layers, MemorySizing.LayersAhead(new PrefetchSpec { Mode = mode, Horizon = mode == PrefetchMode.Fixed ? 3 : null, MaxHorizon = 12 }));

    [Theory]
    [InlineData(3 << 10, 2048, " is 656 MiB less than the 3.6 GiB that is needed (1 GiB dense weights, 2 GiB experts, 0 B serving.kvMemory, 0 B kvCache.memory, 256 MiB program, 400 MiB predictor of experts.prefetch): raise the limit, or set experts.fastMemory to 1459617792 (1.4 GiB) or less")]
    [InlineData(4352, 2900, ": raise the limit, or set experts.fastMemory to 3221225472 (3 GiB): with all experts in memory there is no predictor")]
    [InlineData(1690, 64, ": raise the limit to that, or to 1.7 GiB and set experts.fastMemory to 16777216, or lower serving.kvMemory and kvCache.memory, or set experts.prefetch.mode to OnDemand")]
    [InlineData(1340, 64, ": raise the limit to that, or to 1.7 GiB and set experts.fastMemory to 16777216, or lower serving.kvMemory and kvCache.memory")]
    public void What_a_predictor_leaves_no_room_for_is_told(long limit, long fast, string end) => Assert.EndsWith(
        end,
        MemorySizing.Plan(new ModelFacts(1L << 30, 3L << 30, 1L << 24, 1, 0, new PredictorFacts(80L << 20, 40L << 20, 58, 0)), new MemoryBudget(fast << 20, 0, 0, limit << 20, 0, 0, 8)).Refusal,
        StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"denseBytes":1,"expertBytes":2,"smallestExpertBytes":1,"kvBytesPerToken":1}""", true)]
    [InlineData("""{"denseBytes":1,"expertBytes":2,"smallestExpertBytes":1,"kvBytesPerToken":1,"predictor":{"bytes":1,"bytesPerLayerAhead":1,"layers":1,"stepBytesPerLayerAhead":1}}""", true)]
    [InlineData("""{"denseBytes":1,"expertBytes":2,"smallestExpertBytes":1,"kvBytesPerToken":1,"predictor":{"bytes":-1,"bytesPerLayerAhead":1,"layers":1,"stepBytesPerLayerAhead":1}}""", false)]
    [InlineData("""{"denseBytes":1,"expertBytes":2,"smallestExpertBytes":1,"kvBytesPerToken":1,"predictor":{"bytes":1,"bytesPerLayerAhead":1,"layers":-1,"stepBytesPerLayerAhead":1}}""", false)]
    public void A_report_without_a_predictor_is_one_and_nonsense_is_none(string line, bool isReport) =>
        Assert.Equal(isReport ? line : null, ModelFacts.TryParse(line)?.ToLine().Replace("\"stepBytesPerToken\":0,", "", StringComparison.Ordinal).Replace(",\"stepBytesPerToken\":0", "", StringComparison.Ordinal));

    [Fact]
    public void Sizes_past_all_numbers_fit_nowhere() => Assert.NotNull(MemorySizing.Plan(
        new ModelFacts(long.MaxValue, long.MaxValue, 1, 1), new MemoryBudget(null, long.MaxValue, 0, long.MaxValue - 1)).Refusal);

    [Fact]
    public void A_limit_that_is_proposed_says_with_which_budget() => Assert.EndsWith(
        "(1 GiB dense weights, 3 GiB experts, 0 B serving.kvMemory, 0 B kvCache.memory, 256 MiB program): raise the limit to that, or to 2.3 GiB and set experts.fastMemory to 1073741824, or lower serving.kvMemory and kvCache.memory",
        MemorySizing.Plan(new ModelFacts(1L << 30, 4L << 30, 1L << 30, 1), new MemoryBudget(3L << 30, 0, 0, 1L << 30)).Refusal,
        StringComparison.Ordinal);

    [Theory]
    [InlineData(0, 512, 256)]
    [InlineData(100 << 10, 512, 256)]
    [InlineData(1 << 20, 512, 256 + 512 - 96)]
    [InlineData(1 << 20, 64, 256)]
    public void Wide_steps_need_more_than_the_program(long step, int tokens, long mebibytes) =>
        Assert.Equal(mebibytes << 20, MemorySizing.Plan(new ModelFacts(0, 0, 0, 0, step), new MemoryBudget(null, 0, 0, null, tokens)).Needed);

    [Theory]
    [InlineData(16 * 4096, 16, true)]
    [InlineData((16 * 4096) + 8, 16, false)]
    [InlineData(4096, 1, true)]
    [InlineData(4104, 1, false)]
    [InlineData(1, 0, false)]
    [InlineData(0, 16, false)]
    public void An_arena_that_holds_no_block_is_refused(long arena, int tokens, bool refused)
    {
        var refusal = MemorySizing.Plan(new ModelFacts(0, 0, 0, 4096), new MemoryBudget(null, 0, arena, null, 0, tokens)).Refusal;
        if (refused)
            Assert.Matches(@"^kvCache\.memory: .* is less than the .* that one block of \d+ tokens takes: raise it", refusal);
        else
            Assert.Null(refusal);
    }

    [Fact]
    public void Blocks_past_all_numbers_fit_nowhere() => Assert.NotNull(MemorySizing.Plan(
        new ModelFacts(0, 0, 0, long.MaxValue), new MemoryBudget(null, 0, 1L << 62, null, 0, 1024)).Refusal);

    [Fact]
    public void Steps_past_all_numbers_fit_nowhere() => Assert.NotNull(MemorySizing.Plan(
        new ModelFacts(0, 0, 0, 0, long.MaxValue), new MemoryBudget(null, 0, 0, 1L << 50, 65536)).Refusal);
}
