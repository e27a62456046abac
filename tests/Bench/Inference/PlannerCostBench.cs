using System.Diagnostics;
using System.Globalization;
using Moebius.Inference.Experts;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Simulation;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Bench.Inference;

/// <summary>Where the time of looking ahead goes, by horizon: what a layer of the demonstration model pays for it.</summary>
internal static class PlannerCostBench
{
    private const int Letters = 24_000;

    /// <summary>Share of the experts that fit; it decides how much of a plan has to be queued.</summary>
    private const double Fits = 0.75;

    private static readonly int[] Horizons = [0, 1, 2, 3, 6];

    public static void Run()
    {
        var trace = DemonstrationTrace.Record(Letters);
        var source = new TraceReplay(trace, 1);
        var layers = source.Shape.Layers;
        int[] script = [.. Tokenizer.Load(BenchModels.Demonstration()).Encode(DemonstrationTrace.Text[..Letters], true).Take(1400)];
        Report.Title(
            $"What looking ahead costs, demonstration model ({layers} layers x {source.Shape.Experts} experts), one sequence, us a layer on the compute thread",
            "horizon", "predict", "learn (put off until the thread would wait)", "the policy's plan, predictions in it", "hand the plan to cache and queue", "all in the engine, pre-gates in it");
        // The first runs are for the compiler.
        for (var i = 0; i < 3; i++)
            Measure(Horizons[^1]);
        foreach (var horizon in Horizons)
        {
            Measure(horizon);
            var parts = Measure(horizon);
            Report.Row([$"{horizon}", .. parts.Select(us => us.ToString("F2", CultureInfo.InvariantCulture))]);
        }

        double[] Measure(int horizon) => [.. Predictor(source, horizon), .. Policy(source, horizon), Engine(script, source.Shape, horizon)];
    }

    private static double[] Predictor(TraceReplay source, int horizon)
    {
        var predictor = new RoutingPredictor(source.Shape);
        var use = new float[source.Shape.Experts];
        long predict = 0, learn = 0;
        for (var step = 0; step < source.Steps; step++)
        {
            var tokens = source.Tokens(step);
            var began = Stopwatch.GetTimestamp();
            predictor.Begin(tokens);
            // The token ids speak for the whole step.
            for (var distance = 1; distance <= source.Shape.Layers; distance++)
                predictor.Predict(null, distance, use);
            predict += Stopwatch.GetTimestamp() - began;
            for (var layer = 0; layer < source.Shape.Layers; layer++)
            {
                var routing = source.Routing(step, layer, horizon);
                var start = Stopwatch.GetTimestamp();
                predictor.Learn(layer, routing.Chosen);
                var middle = Stopwatch.GetTimestamp();
                // As the policy does: when a layer comes inside the horizon, and just before it runs.
                if (horizon > 0)
                    predictor.Predict(routing, horizon, use);
                if (horizon > 1)
                    predictor.Predict(routing, 1, use);
                learn += middle - start;
                predict += Stopwatch.GetTimestamp() - middle;
            }
        }
        return [PerLayer(predict, source), PerLayer(learn, source)];
    }

    private static double[] Policy(TraceReplay source, int horizon)
    {
        var policy = new ExpertFlowPolicy(new RoutingPredictor(source.Shape), new HorizonLimits(8, 4, 8), horizon);
        var scheduler = new ExpertScheduler(new ExpertCache((int)(Fits * source.Shape.Layers * source.Shape.Experts), policy.NextUse, policy.Residency));
        long plan = 0, hand = 0;
        for (var step = 0; step < source.Steps; step++)
        {
            var tokens = source.Tokens(step);
            Plan(() => policy.Begin(tokens));
            for (var layer = 0; layer < source.Shape.Layers; layer++)
            {
                var routing = source.Routing(step, layer, horizon);
                Use(scheduler, layer, routing.Chosen);
                Plan(() => policy.Plan(routing));
                Load(scheduler);
            }
        }
        return [PerLayer(plan, source), PerLayer(hand, source)];

        void Plan(Func<IReadOnlyList<PrefetchRequest>?> make)
        {
            var start = Stopwatch.GetTimestamp();
            var made = make();
            var middle = Stopwatch.GetTimestamp();
            if (made is not null)
                scheduler.Plan(made);
            hand += Stopwatch.GetTimestamp() - middle;
            plan += middle - start;
        }
    }

    private static void Use(ExpertScheduler scheduler, int layer, int[] chosen)
    {
        foreach (var expert in chosen)
        {
            var key = new ExpertKey(layer, expert);
            if (!scheduler.TryUse(key, out _))
            {
                while (scheduler.TryBegin(out var transfer) && !scheduler.Complete(transfer.Key))
                {
                }
            }
            scheduler.Release(key);
        }
    }

    private static void Load(ExpertScheduler scheduler)
    {
        while (scheduler.TryBegin(out var transfer))
            scheduler.Complete(transfer.Key);
    }

    private static double Engine(int[] script, RoutingShape shape, int horizon)
    {
        var run = new DecodeRun(BenchModels.Demonstration(), script, 12, script.Length - 12);
        var policy = new StallParts(new ExpertFlowPolicy(new RoutingPredictor(shape), new HorizonLimits(8, 4, 8), horizon));
        run.Run(null, policy: policy);
        return policy.Planning * 1e6 / policy.Layers;
    }

    private static double PerLayer(long ticks, TraceReplay source) =>
        Stopwatch.GetElapsedTime(0, ticks).TotalMicroseconds / source.Steps / source.Shape.Layers;
}
