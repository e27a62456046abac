using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class PlanningTests
{
    private static readonly SchedulerLimits Limits = new(4, 10, 4, 20);

    [Fact]
    public void Decodes_come_first_and_prefills_share_the_rest()
    {
        var plan = Plan([View(1, 30, 0), View(2, 9, 8), View(3, 8, 7)], []);
        Assert.Equal([(2, 1), (3, 1), (1, 8)], plan.Chunks);
    }

    [Fact]
    public void The_latest_arrival_is_preempted()
    {
        var plan = Plan([View(1, 41, 40), View(2, 20, 19), View(3, 20, 19)], [View(4, 4, 0)]);
        Assert.Equal([3L], plan.Preempt);
        Assert.Empty(plan.Admit);
        Assert.Equal([(1, 1), (2, 1)], plan.Chunks);
    }

    [Fact]
    public void Memory_that_is_just_enough_takes_nothing_from_anybody()
    {
        var plan = Plan([View(1, 40, 39), View(2, 40, 39)], []);
        Assert.Empty(plan.Preempt);
        Assert.Equal([(1, 1), (2, 1)], plan.Chunks);
    }

    [Fact]
    public void What_is_still_copied_into_the_cache_halts_only_whom_it_leaves_no_memory()
    {
        Assert.Equal([(1, 1)], StepPlanner.Plan([View(1, 40, 39)], [], new HashSet<long>(), new Dictionary<string, long>(), 10, Limits).Chunks);
        var plan = StepPlanner.Plan([View(1, 40, 39)], [], new HashSet<long>(), new Dictionary<string, long>(), 11, Limits);
        Assert.Empty(plan.Chunks);
        Assert.Empty(plan.Preempt);
    }

    [Fact]
    public void A_prompt_of_two_tokens_is_computed_in_one_step() =>
        Assert.Equal([(1, 2)], Plan([View(1, 2, 0)], []).Chunks);

    [Fact]
    public void The_least_served_party_is_admitted_first_and_preempted_ones_before_all()
    {
        var waiting = new[] { View(5, 4, 0, "busy"), View(6, 4, 0, "idle"), View(4, 4, 0, "busy") };
        var served = new Dictionary<string, long> { ["busy"] = 100 };
        Assert.Equal([6, 4, 5], StepPlanner.Plan([], waiting, new HashSet<long>(), served, 0, Limits).Admit);
        Assert.Equal([5, 6, 4], StepPlanner.Plan([], waiting, new HashSet<long> { 5 }, served, 0, Limits).Admit);
    }

    [Fact]
    public void The_least_served_party_computes_its_prompts_first()
    {
        SequenceView[] running = [View(1, 12, 0, "busy"), View(2, 12, 0, "busy"), View(3, 6, 0, "idle"), View(4, 8, 7, "busy")];
        var served = new Dictionary<string, long> { ["busy"] = 100, ["idle"] = 20 };
        Assert.Equal([(4, 1), (3, 6), (1, 3)], StepPlanner.Plan(running, [], new HashSet<long>(), served, 0, Limits).Chunks);
    }

    [Fact]
    public void The_most_served_party_gives_up_its_memory_first()
    {
        SequenceView[] running = [View(1, 40, 39, "busy"), View(2, 33, 32, "busy"), View(3, 8, 7, "idle")];
        var served = new Dictionary<string, long> { ["busy"] = 100, ["idle"] = 20 };
        var plan = StepPlanner.Plan(running, [], new HashSet<long>(), served, 0, Limits);
        Assert.Equal([2L], plan.Preempt);
        Assert.Equal([(1, 1), (3, 1)], plan.Chunks);
    }

    [Fact]
    public void One_that_does_not_fit_is_not_overtaken_for_ever() =>
        Assert.Empty(Plan([View(1, 40, 39)], [View(2, 60, 0), View(3, 4, 0)]).Admit);

    [Fact]
    public void A_newcomer_leaves_a_block_in_reserve_unless_it_is_alone()
    {
        Assert.Empty(Plan([View(1, 40, 39)], [View(2, 40, 0)]).Admit);
        Assert.Equal([2L], Plan([View(1, 40, 39)], [View(2, 36, 0)]).Admit);
        Assert.Equal([2L], Plan([], [View(2, 80, 0)]).Admit);
    }

    [Fact]
    public void Parties_that_are_level_are_admitted_in_turns() =>
        Assert.Equal([1, 3, 2], Plan([], [View(1, 4, 0, "a"), View(2, 4, 0, "a"), View(3, 4, 0, "b")]).Admit);

    [Fact]
    public void Who_is_admitted_is_charged_for_all_its_tokens() =>
        Assert.Equal([1, 3, 4, 2], Plan([], [View(1, 12, 0, "a"), View(2, 4, 0, "a"), View(3, 4, 0, "b"), View(4, 4, 0, "b")]).Admit);

    [Fact]
    public void A_sequence_whose_prefix_is_looked_up_waits() =>
        Assert.Empty(Plan([new SequenceView(1, "", 8, 0, false)], []).Chunks);

    [Property(MaxTest = 500)]
    public void No_plan_exceeds_a_limit((byte Tokens, byte Stored)[] running, byte[] waiting, byte held)
    {
        // As the engine has them: what is stored is less than what is known, and each fits alone.
        var views = (running ?? []).Take(6).Select((sequence, i) => View(i, (sequence.Tokens % 80) + 1, sequence.Stored % ((sequence.Tokens % 80) + 1))).ToList();
        var queue = (waiting ?? []).Take(6).Select((tokens, i) => View(100 + i, (tokens % 80) + 1, 0)).ToList();
        var plan = StepPlanner.Plan(views, queue, new HashSet<long>(), new Dictionary<string, long>(), held % 10, Limits);
        var kept = views.Where(view => !plan.Preempt.Contains(view.Id)).ToList();
        var admitted = queue.Where(view => plan.Admit.Contains(view.Id)).ToList();
        var blocks = (held % 10) + kept.Concat(admitted).Sum(view => StepPlanner.BlocksOf(view.Tokens, Limits));
        Assert.True(blocks <= Limits.Blocks || plan.Chunks.Count == 0, $"{blocks} blocks");
        Assert.True(plan.Admit.Count == 0 || kept.Count + admitted.Count <= Limits.MaxSequences);
        Assert.True(plan.Chunks.Sum(chunk => chunk.Tokens) <= Limits.MaxBatchTokens);
        Assert.All(plan.Chunks, chunk => Assert.InRange(chunk.Tokens, 1, kept.Single(view => view.Id == chunk.Id) is var view ? view.Tokens - view.Stored : 0));

        // Something always moves, or nothing can: no plan leaves the engine stuck.
        if (held == 0 && views.Count + queue.Count > 0)
            Assert.True(plan.Chunks.Count + plan.Admit.Count + plan.Preempt.Count > 0);
    }

    [Fact]
    public void A_party_that_comes_back_starts_level()
    {
        var shares = new FairShare();
        shares.Join("a");
        shares.Charge("a", 500);
        shares.Join("b");
        Assert.Equal(500, shares.Served["b"]);
        shares.Charge("b", 7);
        shares.Join("b");
        shares.Leave("b");
        Assert.Equal(507, shares.Served["b"]);
        shares.Leave("a");
        shares.Join("a");
        Assert.Equal(507, shares.Served["a"]);
    }

    [Fact]
    public void Level_is_with_the_least_served_of_those_that_are_there()
    {
        var shares = new FairShare();
        shares.Join("a");
        shares.Join("b");
        shares.Charge("a", 500);
        shares.Charge("b", 7);
        shares.Join("c");
        Assert.Equal(7, shares.Served["c"]);
    }

    private static StepPlan Plan(SequenceView[] running, SequenceView[] waiting) =>
        StepPlanner.Plan(running, waiting, new HashSet<long>(), new Dictionary<string, long>(), 0, Limits);

    private static SequenceView View(long id, int tokens, int stored, string party = "") => new(id, party, tokens, stored, true);
}
