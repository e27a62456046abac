using FsCheck;
using FsCheck.Fluent;
using Moebius.Crds.Sizing;

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
        select (new ModelFacts(dense, (long)smallest * layers << 16, (long)smallest << 16, 4096, step), new MemoryBudget(fast, kv, arena, limit, tokens, block))).ToArbitrary();

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
