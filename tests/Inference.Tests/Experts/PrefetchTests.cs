using Moebius.Inference.Experts;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Experts;

/// <summary>Plans reach the store, and what they bring is counted as it is.</summary>
public class PrefetchTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(3, 8)];

    [Fact]
    public void A_policy_that_knows_the_routing_is_told_everything_and_foresees_every_use()
    {
        var script = new Scripted();
        var expected = Decode(script, 0.5, out var onDemand);
        Assert.Equal(0, onDemand.Prefetched);
        // Where nobody looks ahead, no use counts as one that could have been foreseen.
        Assert.Equal((0, 0), (onDemand.Foreseen, onDemand.Uses));

        var oracle = new Scripted { Known = script.Routings };
        Assert.Equal(expected, Decode(oracle, 0.5, out var known));
        Assert.Equal(script.Routings, oracle.Routings);
        Assert.Equal(known.Uses, known.Foreseen);
        Assert.Equal(script.Routings.Sum(r => r.Count), known.Uses);
        Assert.True(known.Prefetched > 0);
        Assert.True(known.Misses + known.Prefetched >= onDemand.Misses - known.Hits);
        Assert.Equal(2, known.Horizon);
        Assert.All(oracle.Feedback, f => Assert.True(f is { StallSeconds: >= 0, ComputeSeconds: >= 0 }));
        Assert.Equal(known.Misses, oracle.Feedback.Sum(f => f.Misses));
        Assert.InRange(oracle.Feedback.Sum(f => f.OverFetched), 0, known.OverFetched);
        Assert.True(known.BytesPerSecond > 0);
    }

    [Fact]
    public void Plans_of_nonsense_change_no_bit_and_stay_within_the_budget()
    {
        var expected = Decode(new Scripted(), 0.5, out _);
        foreach (var budget in new[] { 0, 0.3, 0.9 })
        {
            var random = new Random(7);
            Assert.Equal(expected, Decode(new Scripted { Invent = () => new ExpertKey(random.Next(3), random.Next(16)) }, budget, out var statistics));
            Assert.True(statistics.ResidentBytes <= statistics.BudgetBytes);
        }
    }

    [Fact]
    public void A_policy_that_is_off_for_a_step_loads_nothing_ahead_and_changes_no_bit()
    {
        var expected = Decode(new Scripted(), 0.5, out _);
        using (var whole = TestModels.Load(TestModels.Golden("qwen3_moe")))
        {
            var shape = new RoutingShape(whole.Info.ExpertCount / 16, 16, 4, whole.Info.VocabularySize);
            Assert.Equal(expected, Decode(Policy(HorizonController.Off), 0.5, out var off));
            Assert.Equal((0, 0, 0, false), (off.Prefetched, off.Uses, off.Horizon, off.LooksAhead));
            Assert.True(off.Misses > 0);
            Assert.Equal(expected, Decode(Policy(0), 0.5, out var on));
            Assert.True(on.LooksAhead);

            ExpertFlowPolicy Policy(int horizon) => new(new RoutingPredictor(shape), new HorizonLimits(8, 4, 8), horizon);
        }
    }

    [Fact]
    public void A_plan_for_experts_that_cannot_be_read_hurts_nobody_until_they_are_used()
    {
        using var copy = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        var script = new Scripted();
        using var model = Load(copy.Path, script, 0.5);
        using var kv = model.CreateSequence();
        model.Forward([new SequenceChunk(kv, Prompt, LogitsFor.Last)]);
        script.Invent = () => new ExpertKey(0, 0);
        // The checkpoint loses its last bytes: whatever is read from there fails.
        using (var file = new FileStream(copy.File_("model.safetensors"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(1000);
        Assert.ThrowsAny<IOException>(() =>
        {
            for (var i = 0; i < 200; i++)
                model.Forward([new SequenceChunk(kv, new[] { 3 + i * 7 % 300 }, LogitsFor.Last)]);
        });
    }

    private static float[] Decode(IPrefetchPolicy policy, double budget, out ExpertStatistics statistics)
    {
        using var model = Load(TestModels.Golden("qwen3_moe"), policy, budget);
        using var kv = model.CreateSequence();
        model.Forward([new SequenceChunk(kv, Prompt, LogitsFor.Last)]);
        float[] logits = [];
        for (var i = 0; i < 20; i++)
            logits = model.Forward([new SequenceChunk(kv, new[] { 3 + i * 13 }, LogitsFor.Last)])[0];
        statistics = model.Experts;
        return logits;
    }

    private static ICausalModel Load(string directory, IPrefetchPolicy policy, double budget)
    {
        long all;
        using (var whole = TestModels.Load(directory))
            all = whole.Info.ExpertBytes;
        return ModelLoader.Load(directory, new ModelLoadOptions
        {
            ExpertBudgetBytes = Math.Max(TestModels.SmallestBudget(directory), (long)(all * budget)),
            Threads = 1,
            Prefetch = policy,
        });
    }

    /// <summary>Records; plans the two layer runs that follow in a recording, or invents plans.</summary>
    private sealed class Scripted : IPrefetchPolicy
    {
        public List<List<ExpertKey>> Routings { get; } = [];

        public List<PrefetchFeedback> Feedback { get; } = [];

        public List<List<ExpertKey>>? Known { get; init; }

        public Func<ExpertKey>? Invent { get; set; }

        public int Horizon(int layer) => Known is null ? 0 : 2;

        public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => Ahead();

        public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
        {
            Assert.Equal(Horizon(routing.Layer), routing.Ahead.Count);
            Routings.Add([.. routing.Chosen.Distinct().Order().Select(e => new ExpertKey(routing.Layer, e))]);
            return Ahead();
        }

        public void Observe(PrefetchFeedback feedback) => Feedback.Add(feedback);

        private List<PrefetchRequest> Ahead() => Invent is { } invent
            ? [.. Enumerable.Range(0, 9).Select(_ => new PrefetchRequest(invent(), 0.5f))]
            : [.. (Known ?? []).Skip(Routings.Count).Take(2).SelectMany(keys => keys).Select(key => new PrefetchRequest(key, 1))];
    }
}
