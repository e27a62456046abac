using Moebius.Inference.Experts;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Simulation;

namespace Moebius.Inference.Tests.Simulation;

public class SimulatorTests
{
    [Fact]
    public void On_demand_stalls_for_each_miss_and_no_longer()
    {
        // One layer, top-1, room for one expert: 0 1 1 0 misses at the first, second and fourth step.
        var source = Source(1, 4, [[0], [1], [1], [0]]);
        var run = new Simulator(source, new SimulatedTimes(10, 3, _ => 2, 1), new OnDemandPolicy(), 1).Run(0);
        Assert.Equal((1L, 3L), (run.Hits, run.Misses));
        Assert.Equal(30, run.StallSeconds, 9);
        Assert.Equal(4 * (1 + 3 + 2) + 30, run.Seconds, 9);
        Assert.Equal(3, run.Loaded);
    }

    [Fact]
    public void A_perfect_plan_hides_a_load_behind_the_layers_before_it()
    {
        // Two layers, everything misses once and everything fits. The first load cannot be hidden behind more than 4 s
        // (1 of the step, 3 of the layer); the others have 5 s of the layer before.
        var source = Source(2, 4, [[0, 1], [2, 3]]);
        var times = new SimulatedTimes(5, 3, _ => 2, 1);
        var run = new Simulator(source, times, new OraclePolicy(source, 1), 8).Run(0);
        Assert.Equal(1 + 0 + 0 + 0, run.StallSeconds, 9);
        Assert.Equal(4, run.Prefetched);
        Assert.Equal(1, run.Recall);
    }

    [Fact]
    public void A_load_ahead_that_has_begun_delays_what_is_demanded()
    {
        // The load ahead begins at 0 and takes 10 s; at 4 s the first layer demands another, which comes at 20 s.
        var source = Source(2, 4, [[0, 3]]);
        var run = new Simulator(source, new SimulatedTimes(10, 3, _ => 2, 1), new Guess(new ExpertKey(1, 3)), 4).Run(0);
        Assert.Equal((1L, 1L, 1L), (run.Hits, run.Misses, run.Prefetched));
        Assert.Equal(16, run.StallSeconds, 9);
    }

    /// <summary>Plans one expert at the beginning of a step.</summary>
    private sealed class Guess(ExpertKey key) : IPrefetchPolicy
    {
        public int Horizon(int layer) => 0;

        public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => [new PrefetchRequest(key, 1)];

        public IReadOnlyList<PrefetchRequest>? Plan(LayerRouting routing) => null;

        public void Observe(PrefetchFeedback feedback)
        {
        }
    }

    [Property(MaxTest = 60)]
    public void Every_use_is_a_hit_or_a_miss_and_time_is_compute_plus_stall(byte[] routing, byte slots, byte policy)
    {
        if (routing.Length < 8)
            return;
        var source = Source(2, 6, [.. routing.Chunk(2).Where(pair => pair.Length == 2).Select(pair => pair.Select(e => e % 6).ToArray())]);
        IPrefetchPolicy chosen = (policy % 4) switch
        {
            0 => new OnDemandPolicy(),
            1 => new OraclePolicy(source, 3),
            2 => new OraclePolicy(source, 4, new FutureUses(source)),
            _ => new ExpertFlowPolicy(new RoutingPredictor(source.Shape), new HorizonLimits(2, 2, 2), threshold: 0.1f),
        };
        var run = new Simulator(source, new SimulatedTimes(7, 3, _ => 2, 1), chosen, slots % 12 + 1).Run(0);
        Assert.Equal(source.Steps * 2, run.Hits + run.Misses);
        Assert.Equal(source.Steps * (1 + 2 * (3 + 2)) + run.StallSeconds, run.Seconds, 6);
        Assert.True(run.Prefetched >= run.OverFetched);
    }

    [Fact]
    public void Belady_with_all_the_future_never_loads_more_than_LRU()
    {
        var random = new Random(4);
        var source = Source(3, 8, [.. Enumerable.Range(0, 200).Select(_ => Enumerable.Range(0, 3).Select(_ => (int)(8 * Math.Pow(random.NextDouble(), 2))).ToArray())]);
        var times = new SimulatedTimes(5, 3, _ => 2, 1);
        var lru = new Simulator(source, times, new OraclePolicy(source, 2), 8).Run(0);
        var belady = new Simulator(source, times, new OraclePolicy(source, 6, new FutureUses(source)), 8).Run(0);
        Assert.True(belady.Loaded < lru.Loaded, $"{belady.Loaded} < {lru.Loaded}");
    }

    [Fact]
    public void A_stretched_trace_has_the_larger_shape_and_its_gates_foretell_less_the_farther_they_look()
    {
        var trace = Trace(4, 8, 200);
        var stretched = new StretchedReplay(trace, new RoutingShape(11, 20, 3, 1), 2);
        Assert.Equal((11, 20, 3, trace.Shape.Vocabulary), (stretched.Shape.Layers, stretched.Shape.Experts, stretched.Shape.TopK, stretched.Shape.Vocabulary));
        Assert.Equal(100, stretched.Steps);
        double near = 0, far = 0;
        for (var step = 0; step < stretched.Steps; step++)
        {
            for (var layer = 0; layer < 11; layer++)
            {
                var chosen = stretched.Chosen(step, layer);
                Assert.Equal(6, chosen.Length);
                Assert.All(chosen, expert => Assert.InRange(expert, 0, 19));
                Assert.Equal(3, chosen[..3].Distinct().Count());
                Assert.Equal(chosen, stretched.Routing(step, layer, 0).Chosen);
            }
            near += Overlap(stretched, step, 0, 1);
            far += Overlap(stretched, step, 0, 8);
        }
        Assert.True(near > far, $"{near} > {far}");
        Assert.InRange(stretched.MaxHorizon(0), 8, 11);

        static int Overlap(StretchedReplay source, int step, int layer, int distance)
        {
            var gate = source.Routing(step, layer, distance).Ahead[distance - 1].Probabilities;
            return Enumerable.Range(0, 20).OrderByDescending(e => gate[e]).Take(3).Intersect(source.Chosen(step, layer + distance)[..3]).Count();
        }
    }

    /// <summary>Otherwise values of another gate would be taken for theirs.</summary>
    [Fact]
    public void Layers_farther_ahead_than_was_recorded_have_no_gates()
    {
        var shape = new TraceShape("toy", 4, 2, 1, 1, 4, 8, 8);
        var replay = new TraceReplay(new RoutingTrace(shape, [0, 1], new ushort[8], new byte[2 * 4 * shape.GateValues]), 1);
        Assert.Equal([1], replay.Routing(0, 0, 3).Ahead.Select(gate => gate.Layer));
    }

    /// <summary>Top-1 routing of one sequence: for each step, the expert of each layer.</summary>
    private static TraceReplay Source(int layers, int experts, int[][] steps)
    {
        var shape = new TraceShape("toy", layers, experts, 1, layers, 4, 8, 8);
        ushort[] chosen = [.. steps.SelectMany(step => step.Select(expert => (ushort)expert))];
        var gates = new byte[steps.Length * layers * shape.GateValues];
        return new TraceReplay(new RoutingTrace(shape, new int[steps.Length], chosen, gates), 1);
    }

    /// <summary>Gates that drift from layer to layer; pre-gates that see the drift less the farther it is.</summary>
    internal static RoutingTrace Trace(int layers, int experts, int tokens)
    {
        var shape = new TraceShape("toy", layers, experts, 2, layers, 16, 1000, 1000);
        var random = new Random(11);
        var chosen = new List<ushort>();
        var gates = new List<byte>();
        for (var token = 0; token < tokens; token++)
        {
            double[][] logits = [.. Enumerable.Range(0, 2 * layers + 1).Select(_ => Enumerable.Range(0, experts).Select(_ => 2 * random.NextDouble()).ToArray())];
            double[][] sums = [.. logits.Select((_, layer) => Enumerable.Range(0, experts).Select(e => logits.Take(layer % layers + 1).Sum(row => row[e]) * 2).ToArray())];
            for (var layer = 0; layer < layers; layer++)
            {
                chosen.AddRange(Enumerable.Range(0, experts).OrderByDescending(e => sums[layer][e]).Take(2).Select(e => (ushort)e));
                for (var distance = 0; distance <= layers; distance++)
                {
                    // As the source layer has it: the drift after it is unknown.
                    var seen = layer + distance < layers ? sums[layer] : logits[layer + distance];
                    var total = seen.Sum(Math.Exp);
                    gates.AddRange(seen.Select(value => RoutingTrace.Code((float)(Math.Exp(value) / total))));
                }
            }
        }
        return new RoutingTrace(shape, [.. Enumerable.Range(0, tokens).Select(token => token % 16)], [.. chosen], [.. gates]);
    }
}
