using Moebius.Inference.Experts;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class PolicyTests
{
    private static readonly RoutingShape Shape = new(3, 4, 2, 16);

    [Fact]
    public void Pre_gate_asks_for_each_tokens_top_k_at_its_distance_and_keeps_what_lies_between()
    {
        var policy = new PreGatePolicy(2);
        policy.Begin([1, 2]);
        var first = policy.Plan(Routing(0, 2, 2, [0.1f, 0.2f, 0.3f, 0.4f, 0.6f, 0.1f, 0.2f, 0.1f]));
        Assert.Equal([new ExpertKey(2, 0), new ExpertKey(2, 3), new ExpertKey(2, 2)], first!.Select(request => request.Key));
        var second = policy.Plan(Routing(1, 2, 2, [0.7f, 0.1f, 0.15f, 0.05f, 0.7f, 0.1f, 0.15f, 0.05f]));
        Assert.Equal([2, 2, 2, 0, 0], second!.Select(request => request.Key.Layer));
    }

    [Fact]
    public void Pre_gate_forgets_what_has_run_counts_the_likeliest_token_and_asks_for_nothing_impossible()
    {
        var policy = new PreGatePolicy(1);
        Assert.Equal(1, policy.Horizon(2));
        Assert.Empty(policy.Begin([1, 2]));
        Assert.Equal(
            [new PrefetchRequest(new ExpertKey(1, 1), 0.7f), new PrefetchRequest(new ExpertKey(1, 0), 0.6f)],
            policy.Plan(Routing(0, 2, 1, [0.6f, 0.4f, 0, 0, 0.3f, 0.7f, 0, 0])));
        PrefetchRequest[] last = [new PrefetchRequest(new ExpertKey(2, 3), 1)];
        Assert.Equal(last, policy.Plan(Routing(1, 1, 1, [0, 0, 0, 1])));
        Assert.Equal(last, policy.Begin([3]));
    }

    [Property]
    public void A_plan_names_each_expert_once_and_only_of_layers_inside_the_horizon_or_the_step(byte horizon, byte[] noise)
    {
        var reach = (horizon % 3) + 1;
        var policy = new ExpertFlowPolicy(new RoutingPredictor(Shape), new HorizonLimits(8, 4, 8), reach, threshold: 0.2f);
        var at = 0;
        for (var step = 0; step < 4; step++)
        {
            Check(policy.Begin([step]), -1, 3);
            for (var layer = 0; layer < 3; layer++)
                Check(policy.Plan(Routing(layer, 1, policy.Horizon(layer), Gate()))!, layer, Math.Max(reach, 2 - layer));
        }

        float[] Gate()
        {
            var gate = new float[4];
            for (var e = 0; e < 4; e++)
                gate[e] = 1 + (noise.Length == 0 ? 0 : noise[at++ % noise.Length]);
            return [.. gate.Select(value => value / gate.Sum())];
        }

        static void Check(IReadOnlyList<PrefetchRequest> plan, int layer, int reach)
        {
            Assert.Equal(plan.Count, plan.Select(request => request.Key).Distinct().Count());
            Assert.All(plan, request => Assert.InRange(request.Score, 0.2f, 1f));
            Assert.All(plan, request => Assert.InRange((request.Key.Layer - layer + 2) % 3 + 1, 1, reach));
        }
    }

    [Fact]
    public void The_likeliest_is_loaded_first_whichever_layer_it_is_of_and_of_about_equals_the_nearest()
    {
        var said = new StatedPredictor(new RoutingShape(8, 4, 2, 16));
        var policy = new ExpertFlowPolicy(said, new HorizonLimits(8, 4, 8), horizon: 3, threshold: 0.1f);
        said.Uses[2] = [0.3f, 0, 0, 0.5f];
        said.Uses[3] = [0, 0.9f, 0, 0];
        said.Uses[4] = [0, 0, 0.55f, 0.05f];
        policy.Begin([1]);
        Assert.Equal([new(3, 1), new(2, 3), new(4, 2), new(2, 0)], policy.Plan(new LayerRouting(1, 1, [0, 1], [1, 0, 0, 0],
            [.. Enumerable.Range(2, 3).Select(layer => new PreGate(layer, [1, 0, 0, 0]))]))!.Select(request => request.Key));
    }

    /// <summary>Says what it is told to say of a layer.</summary>
    private sealed class StatedPredictor(RoutingShape shape) : RoutingPredictor(shape)
    {
        public Dictionary<int, float[]> Uses { get; } = [];

        public override void Predict(LayerRouting? routing, int distance, Span<float> use)
        {
            use.Clear();
            Uses.GetValueOrDefault((routing?.Layer ?? -1) + distance, []).CopyTo(use);
        }
    }

    [Fact]
    public void A_horizon_is_no_longer_than_the_model()
    {
        var policy = new ExpertFlowPolicy(new RoutingPredictor(Shape), new HorizonLimits(8, 4, 8), horizon: 5);
        policy.Begin([1]);
        Assert.Equal(3, policy.CurrentHorizon);
    }

    [Fact]
    public void Where_planning_costs_nothing_every_layer_inside_the_horizon_is_predicted_each_time()
    {
        var policy = new ExpertFlowPolicy(new RoutingPredictor(Shape), new HorizonLimits(3, 4, 8), threshold: 0.2f);
        Steps(200, plan: 1e-6);
        policy.Begin([1]);
        Assert.Equal(3, policy.CurrentHorizon);
        Assert.True(policy.Wants(0, 2));
        Steps(400, plan: 60e-6);
        // The token ids have spoken for all layers of the step.
        policy.Begin([1]);
        Assert.Equal(policy.CurrentHorizon == 2, policy.Wants(0, 2));

        void Steps(int count, double plan)
        {
            for (var step = 0; step < count; step++)
            {
                Run(policy, step % 16, layer =>
                    policy.Observe(new PrefetchFeedback(layer, 90e-6, 1, 0, 1e-3, 90e-6, 1) { Ahead = 1, Late = 1, PlanSeconds = plan, Used = 2 }));
            }
        }
    }

    [Fact]
    public void A_layer_is_predicted_when_it_comes_in_sight_and_just_before_it_runs()
    {
        var shape = new RoutingShape(8, 4, 2, 16);
        var policy = new ExpertFlowPolicy(new RoutingPredictor(shape), new HorizonLimits(8, 4, 8), horizon: 4, threshold: 0.1f);
        policy.Begin([1]);
        for (var layer = 0; layer < 8; layer++)
        {
            var at = layer;
            Assert.Equal([1, 4], Enumerable.Range(1, 4).Where(distance => policy.Wants(at, distance)));
            var plan = policy.Plan(Sparse(policy, at));
            // What lies between, and what lies beyond in this step, is planned as it was predicted before.
            Assert.Equal(Enumerable.Range(1, Math.Max(4, 7 - at)).Select(distance => (at + distance) % 8), plan!.Select(request => request.Key.Layer).Distinct().OrderBy(target => (target - at + 7) % 8));
        }

        static LayerRouting Sparse(ExpertFlowPolicy policy, int layer) => new(layer, 1, [0, 1], [0.4f, 0.3f, 0.2f, 0.1f],
            [.. Enumerable.Range(1, 4).Select(distance => new PreGate((layer + distance) % 8, policy.Wants(layer, distance) ? [0.4f, 0.3f, 0.2f, 0.1f] : []))]);
    }

    [Fact]
    public void With_a_horizon_of_none_the_token_ids_still_speak_for_the_step()
    {
        var policy = new ExpertFlowPolicy(new RoutingPredictor(Shape), new HorizonLimits(8, 4, 8), horizon: 0, threshold: 0.2f);
        for (var step = 0; step < 200; step++)
            Run(policy, step % 16);
        Assert.True(policy.LooksAhead);
        Assert.Equal([0, 1, 2], policy.Begin([3]).Select(request => request.Key.Layer).Distinct().Order());
        Assert.Equal([0, 1], policy.Begin([3]).Where(request => request.Key.Layer == 2).Select(request => request.Key.Expert).Order());
        Assert.Null(policy.Plan(Routing(0, 1, 0, [])));
    }

    [Fact]
    public void Where_looking_ahead_does_not_pay_it_ends_altogether_and_comes_back_when_there_is_stall()
    {
        // Layers of 30 us whose plans take as long, and nothing to wait for.
        var policy = new ExpertFlowPolicy(new RoutingPredictor(Shape), new HorizonLimits(8, 4, 8), threshold: 0.2f);
        Steps(4000, stall: 0);
        Assert.False(policy.LooksAhead);
        Assert.Equal(0, policy.Horizon(0));
        Assert.Empty(policy.Begin([3]));
        Assert.False(policy.WantsGate(0));
        Assert.Null(policy.Plan(Routing(0, 1, 0, [])));
        // Looking ahead by one layer or more saves all of it.
        Steps(60_000, stall: 400e-6);
        Assert.True(policy.LooksAhead);
        Assert.InRange(policy.CurrentHorizon, 1, 8);
        Assert.NotEmpty(policy.Begin([3]));

        void Steps(int count, double stall)
        {
            for (var step = 0; step < count; step++)
            {
                Run(policy, step % 16, layer =>
                {
                    var seconds = policy.CurrentHorizon > 0 ? 30e-6 : 0;
                    policy.Observe(new PrefetchFeedback(layer, seconds > 0 ? 0 : stall, 4, 0, 30e-6 + seconds, 90e-6, 0) { PlanSeconds = seconds, Used = 2 });
                });
            }
        }
    }

    [Property]
    public void A_policy_that_is_off_keeps_what_it_knows_of_use(byte[] noise)
    {
        // What is evicted goes by how often experts are used, looking ahead or not.
        var off = new ExpertFlowPolicy(new RoutingPredictor(Shape), new HorizonLimits(8, 4, 8), HorizonController.Off);
        var reuse = new ReuseEstimate(3, 4, 2);
        foreach (var at in noise)
        {
            Assert.Empty(off.Begin([at % 16]));
            for (var layer = 0; layer < 3; layer++)
            {
                int[] chosen = [at % 4, (at + 1 + layer) % 4];
                Assert.Null(off.Plan(Routing(layer, 1, 0, []) with { Chosen = chosen }));
                reuse.Used(layer, chosen);
            }
        }
        foreach (var key in from layer in Enumerable.Range(0, 3) from expert in Enumerable.Range(0, 4) select new ExpertKey(layer, expert))
            Assert.Equal(reuse.NextUse(key), off.NextUse!(key));
    }

    private static void Run(ExpertFlowPolicy policy, int token, Action<int>? ran = null)
    {
        policy.Begin([token]);
        for (var layer = 0; layer < 3; layer++)
        {
            policy.Plan(Routing(layer, 1, policy.Horizon(layer), [0.4f, 0.3f, 0.2f, 0.1f]));
            while (policy.WhileWaiting())
            {
            }
            ran?.Invoke(layer);
        }
    }

    [Fact]
    public void A_plan_asks_for_nothing_that_is_expected_less_than_all_that_is_in_memory()
    {
        var policy = new ExpertFlowPolicy(new RoutingPredictor(Shape), new HorizonLimits(8, 4, 8), horizon: 0, threshold: 1e-6f);
        for (var step = 0; step < 50; step++)
        {
            policy.Begin([step % 4]);
            for (var layer = 0; layer < 3; layer++)
                policy.Plan(Routing(layer, 1, 0, []));
            while (policy.WhileWaiting())
            {
            }
        }
        Assert.Equal(12, policy.Begin([1]).Count);

        // Experts 0 and 1 of each layer are used at every step.
        foreach (var key in from layer in Enumerable.Range(0, 3) from expert in Enumerable.Range(0, 2) select new ExpertKey(layer, expert))
            policy.Residency[key] = true;
        Assert.Equal(12, policy.Begin([1]).Count);
        policy.Residency.IsFull = true;
        Assert.Equal([0, 0, 0, 1, 1, 1], policy.Begin([1]).Select(request => request.Key.Expert).Order());
        // One of them gives way to one that is used hardly ever.
        (policy.Residency[new(2, 1)], policy.Residency[new(0, 3)]) = (false, true);
        Assert.Contains(new ExpertKey(2, 1), policy.Begin([1]).Select(request => request.Key));
    }

    [Fact]
    public void Of_experts_that_are_rarely_used_the_rarer_is_expected_later()
    {
        // Both are out of the short memory: one is used every 300 steps, the other every 900.
        var reuse = new ReuseEstimate(1, 4, 1);
        for (var step = 0; step < 3600; step++)
            reuse.Used(0, [step % 300 == 100 ? 1 : step % 900 == 650 ? 2 : 0]);
        Assert.True(reuse.NextUse(new ExpertKey(0, 1)) < reuse.NextUse(new ExpertKey(0, 2)));
        Assert.True(reuse.NextUse(new ExpertKey(0, 2)) < reuse.NextUse(new ExpertKey(0, 3)));
    }

    [Fact]
    public void Equal_tokens_count_once_and_unrelated_ones_all()
    {
        Assert.Equal(1, BatchDiversity.EffectiveTokens([0.5f, 0.5f, 0, 0, 0.5f, 0.5f, 0, 0], 2), 5);
        Assert.Equal(2, BatchDiversity.EffectiveTokens([0.5f, 0.5f, 0, 0, 0, 0, 0.5f, 0.5f], 2), 5);
        Assert.InRange(BatchDiversity.EffectiveTokens([0.5f, 0.5f, 0, 0, 0, 0.5f, 0.5f, 0], 2), 1.2, 1.8);
        Assert.Equal(3, BatchDiversity.EffectiveTokens([], 3));
    }

    [Fact]
    public void What_is_used_often_or_predicted_is_expected_sooner()
    {
        var reuse = new ReuseEstimate(2, 4, 1);
        for (var step = 0; step < 50; step++)
        {
            reuse.Used(0, [step % 5 == 0 ? 1 : 0]);
            reuse.Used(1, [2]);
        }
        Assert.True(reuse.NextUse(new ExpertKey(0, 0)) < reuse.NextUse(new ExpertKey(0, 1)));
        Assert.True(reuse.NextUse(new ExpertKey(0, 1)) < reuse.NextUse(new ExpertKey(0, 3)));

        // Foreseen for the layer that comes next: sooner than what was used most; once the layer has run that is spent.
        reuse.Predicted(0, [0.01f, 0.01f, 0.01f, 0.97f]);
        Assert.True(reuse.NextUse(new ExpertKey(0, 3)) < reuse.NextUse(new ExpertKey(0, 0)));
        reuse.Used(0, [0]);
        Assert.True(reuse.NextUse(new ExpertKey(0, 3)) > reuse.NextUse(new ExpertKey(0, 0)));
    }

    [Fact]
    public void A_rare_expert_that_may_come_next_replaces_one_that_is_used_now_and_then()
    {
        var reuse = new ReuseEstimate(4, 8, 1);
        for (var step = 0; step < 400; step++)
        {
            for (var layer = 0; layer < 4; layer++)
                reuse.Used(layer, [step % 40 == 0 ? 1 : 0]);
        }

        // Its mean time until the next use is longer, as it is hardly ever used otherwise.
        reuse.Predicted(1, [0.7f, 0, 0.3f, 0, 0, 0, 0, 0]);
        Assert.True(reuse.NextUse(new ExpertKey(1, 2)) < reuse.NextUse(new ExpertKey(3, 1)));
        reuse.Used(0, [0]);
        reuse.Used(1, [0]);
        Assert.True(reuse.NextUse(new ExpertKey(1, 2)) > reuse.NextUse(new ExpertKey(3, 1)));
    }

    private static LayerRouting Routing(int layer, int tokens, int horizon, float[] gate) => new(
        layer, tokens, [.. Enumerable.Range(0, tokens).SelectMany(_ => new[] { 0, 1 })], gate,
        [.. Enumerable.Range(1, horizon).Select(distance => new PreGate((layer + distance) % 3, gate))]);
}
