using Moebius.Inference.Experts;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Simulation;

namespace Moebius.Bench.Inference;

/// <summary>
/// SIMULATION: what ExpertFlow's remaining stall is made of. Its own policy is replayed with one thing at a time made
/// perfect: prediction, eviction, the link for loads ahead, the horizon.
/// </summary>
internal static class SimulationPartsBench
{
    private static readonly int[] Horizons = [1, 2, 4, 8, 16, 32];

    public static void Run()
    {
        var columns = SimulationBench.Cases().ToList();
        Report.Title(
            "SIMULATION: ExpertFlow's stall as a share of on demand's, with one part of it made perfect at a time",
            ["made perfect", .. columns.Select(item => item.Name), "mean"]);
        var demand = columns.Select(item => item.Run(new OnDemandPolicy()).StallSeconds).ToList();
        Row("nothing: as it is", item => item.Run(Flow(item)));
        Row("prediction: what the layers inside the horizon use is known", item => item.Run(Known(item)));
        Row("eviction: what is used last goes, and nothing is loaded in place of what is used sooner", item => item.Run(new TrueEviction(Flow(item), item.Source)));
        Row("link: loads ahead take no time", item => item.Run(Flow(item), ahead: 0));
        Row("horizon: the best fixed one", item => Best(item, horizon => item.Run(Flow(item, horizon))));
        Row("prediction and horizon", item => Best(item, horizon => item.Run(Known(item, horizon))));
        Row("prediction and eviction", item => item.Run(new TrueEviction(Known(item), item.Source)));
        Row("eviction and link", item => item.Run(new TrueEviction(Flow(item), item.Source), ahead: 0));

        void Row(string name, Func<SimulationCase, SimulatedRun> run)
        {
            var shares = columns.Select((item, i) => 100 * run(item).StallSeconds / demand[i]).ToList();
            Report.Row([name, .. shares.Select(share => $"{share:F1}%"), $"{shares.Average():F1}%"]);
        }
    }

    private static ExpertFlowPolicy Flow(SimulationCase item, int? horizon = null) => new(item.Predictor(), item.Limits, horizon);

    private static ExpertFlowPolicy Known(SimulationCase item, int? horizon = null) => new(new TruePredictor(item.Source), item.Limits, horizon);

    private static SimulatedRun Best(SimulationCase item, Func<int, SimulatedRun> run) =>
        Horizons.Where(horizon => horizon <= item.MaxStep).Select(run).MinBy(result => result.StallSeconds)!;

    /// <summary>Says what will be used.</summary>
    private sealed class TruePredictor(RoutingReplay source) : RoutingPredictor(source.Shape)
    {
        public override void Predict(LayerRouting? routing, int distance, Span<float> use)
        {
            use.Clear();
            int at = (routing?.Layer ?? -1) + distance, step = (int)Step - 1 + (at / Shape.Layers);
            if (step >= source.Steps)
                return;
            foreach (var expert in source.Chosen(step, at % Shape.Layers))
                use[expert] = 1;
        }
    }

    /// <summary>A policy whose cache knows when each expert is used next.</summary>
    private sealed class TrueEviction(ExpertFlowPolicy policy, RoutingReplay source) : IPrefetchPolicy
    {
        private readonly FutureUses _future = new(source);
        private int _step = -1;

        public Func<ExpertKey, long>? NextUse => _future.Next;

        public bool LooksAhead => policy.LooksAhead;

        public int Horizon(int layer) => policy.Horizon(layer);

        public bool Wants(int layer, int distance) => policy.Wants(layer, distance);

        public bool WhileWaiting() => policy.WhileWaiting();

        public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens)
        {
            _step++;
            return policy.Begin(tokens);
        }

        public IReadOnlyList<PrefetchRequest>? Plan(LayerRouting routing)
        {
            _future.At(_step, routing.Layer);
            return policy.Plan(routing);
        }

        public void Observe(PrefetchFeedback feedback) => policy.Observe(feedback);
    }
}
