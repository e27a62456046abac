using System.Text;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Simulation;

namespace Moebius.Bench.Inference;

/// <summary>
/// SIMULATION of the paper's machines and models at its cap of 20 GB, on the demonstration model's routing, stretched:
/// every way to load experts, beside loading on demand.
/// </summary>
internal static class SimulationBench
{
    private const double Bar = 0.015;

    private const int Tokens = 1600;

    /// <summary>Letters of the text before, which the predictor has learned from, as the paper's has from other requests.</summary>
    private const int Learned = 140_000;

    public static void Run()
    {
        var ours = Cases().Select(One).ToList();
        Report.Line("");
        var lru = ours.Average(share => share.OfLru);
        Report.Line($"Bar (SIMULATION): ExpertFlow's stall at most {100 * Bar:F1}% of on-demand LRU's, mean of the four: {100 * lru:F1}%, {Report.AtMost(lru, Bar)}.");
        Report.Line($"Of what on demand stalls where nothing stays in memory but what a layer uses: {100 * ours.Average(share => share.OfNothingKept):F2}%, mean of the four. No bar.");
    }

    /// <summary>The paper's machines and models.</summary>
    public static IEnumerable<SimulationCase> Cases()
    {
        var learnedTokens = DemonstrationTrace.TokensOf(Learned);
        var trace = DemonstrationTrace.Record(letters: Learned + 8 * Tokens);
        foreach (var name in new[] { "deepseek-v2-lite", "qwen1.5-moe" })
        {
            var shape = Profiles.Shape(name);
            var before = Stretched(trace.Slice(0, learnedTokens), shape);
            var predictor = new RoutingPredictor(before.Shape);
            PredictorTraining.Run(before, predictor, Limits.MaxHorizon);
            using var learned = new MemoryStream();
            using (var writer = new BinaryWriter(learned, Encoding.UTF8, leaveOpen: true))
                predictor.Save(writer);
            var source = Stretched(trace.Slice(learnedTokens, Tokens), shape);
            foreach (var hardware in new[] { "a6000", "h20" })
            {
                var machine = Profiles.Hardware(hardware);
                var slots = (int)(((machine.MemoryGB - machine.ReserveGB) * 1e9 - (double)shape.LayerBytes * shape.Layers - shape.OtherBytes) / shape.ExpertBytes);
                yield return new SimulationCase($"{hardware}, {name}", new SimulationSetup(machine, shape, 1, slots, source.Steps / 2, Limits), source, () => Read(learned.ToArray()));
            }
        }
    }

    private static HorizonLimits Limits { get; } = new(8, 4, 8);

    private static StretchedReplay Stretched(RoutingTrace trace, ModelShape shape) =>
        new(trace, new RoutingShape(shape.Layers, shape.Experts, shape.TopK, trace.Shape.Vocabulary), 1);

    private static RoutingPredictor Read(byte[] learned)
    {
        using var reader = new BinaryReader(new MemoryStream(learned));
        return RoutingPredictor.Load(reader, RoutingPredictor.LoadShape(reader));
    }

    private static (double OfLru, double OfNothingKept) One(SimulationCase item)
    {
        var (hardware, shape, slots) = (item.Setup.Hardware, item.Setup.Shape, item.Setup.Slots);
        Report.Title(
            $"SIMULATION: {shape.Title} on {hardware.Title}, {hardware.MemoryGB} GB, {slots} of {shape.Layers * shape.Experts} experts fit, {item.Source.Steps} tokens of one sequence, the second half counted; the predictor has learned from the {Learned} letters before",
            "policy", "tokens/s", "stall, share of the time", "stall / on demand's", "hits", "loaded ahead in vain", "experts loaded", "mean horizon");
        double baseline = 0, ours = 0;
        foreach (var (policy, run) in SimulationStudy.Run(item.Setup, item.Source, item.MaxStep, item.Predictor))
        {
            baseline = baseline == 0 ? run.StallSeconds : baseline;
            if (policy == SimulationStudy.ExpertFlow)
                ours = run.StallSeconds;
            Report.Row(policy, $"{run.TokensPerSecond:F1}", $"{100 * run.StallSeconds / run.Seconds:F2}%", $"{100 * run.StallSeconds / baseline:F1}%",
                $"{100 * run.HitRate:F2}%", $"{100 * run.OverFetchRate:F1}%", $"{run.Loaded}", policy == SimulationStudy.ExpertFlow ? $"{run.MeanHorizon:F1}" : "");
        }

        // A layer's experts have no room beside those of the layer before: none is there when it is used again.
        var nothingKept = (item with { Setup = item.Setup with { Slots = shape.TopK } }).Run(new OnDemandPolicy());
        Report.Row($"on demand, room for {shape.TopK} experts", $"{nothingKept.TokensPerSecond:F1}", $"{100 * nothingKept.StallSeconds / nothingKept.Seconds:F2}%", $"{100 * nothingKept.StallSeconds / baseline:F1}%",
            $"{100 * nothingKept.HitRate:F2}%", "", $"{nothingKept.Loaded}", "");
        return (ours / baseline, ours / nothingKept.StallSeconds);
    }
}

/// <summary>SIMULATION: a machine, a model and routing.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Setup">Machine, model and budget.</param>
/// <param name="Source">Routing.</param>
/// <param name="Predictor">A predictor that has learned from the text before, made anew each time.</param>
internal sealed record SimulationCase(string Name, SimulationSetup Setup, StretchedReplay Source, Func<RoutingPredictor> Predictor)
{
    /// <summary>Layers ahead for which every layer has gates.</summary>
    public int MaxStep { get; } = Enumerable.Range(0, Setup.Shape.Layers).Min(Source.MaxHorizon);

    public HorizonLimits Limits => Setup.Limits with { MaxHorizon = Math.Min(Setup.Limits.MaxHorizon, MaxStep) };

    /// <param name="policy">Decides what is loaded ahead.</param>
    /// <param name="ahead">Seconds that a load ahead takes; null: as any load.</param>
    public SimulatedRun Run(IPrefetchPolicy policy, double? ahead = null)
    {
        var times = SimulatedTimes.Of(Setup.Hardware, Setup.Shape, Setup.Batch);
        return new Simulator(Source, times with { TransferAhead = ahead ?? times.Transfer }, policy, Setup.Slots).Run(Setup.WarmUp);
    }
}
