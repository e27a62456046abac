using System.Diagnostics;
using System.Text;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Simulation;

namespace Moebius.Bench.Inference;

/// <summary>
/// How well the predictor foretells the routing of the demonstration model on text that it has not seen, beside the
/// bare pre-gate, at every distance.
/// </summary>
internal static class RecallBench
{
    /// <summary>Letters that the predictor learns from; the rest of the text is held out.</summary>
    private const int Learned = 140_000;

    private const double Bar = 0.85;

    public static void Run()
    {
        var trace = DemonstrationTrace.Record(letters: int.MaxValue);
        var held = DemonstrationTrace.TokensOf(Learned);
        var learned = new TraceReplay(trace.Slice(0, held), 1);
        var heldOut = new TraceReplay(trace.Slice(held, trace.Tokens.Length - held), 1);
        var predictor = new RoutingPredictor(learned.Shape);
        var (horizon, threshold) = Own(trace);
        var (warm, _) = Timed(() => RecallMeter.Measure(learned, predictor, LoadThreshold.Initial, count: false));
        var same = Copy(predictor);
        var (_, recalls) = Timed(() => RecallMeter.Measure(heldOut, predictor, LoadThreshold.Initial));
        var (_, loaded) = Timed(() => RecallMeter.Measure(heldOut, same, threshold));
        int layers = learned.Shape.Layers, predictions = learned.Steps * (1 + layers * (layers - 1) / 2);

        Report.Title(
            $"Recall of the predictor, demonstration model: learns from {learned.Steps} tokens, measured on the {heldOut.Steps} after them (going on learning); top-{learned.Shape.TopK} of {learned.Shape.Experts}",
            "layers ahead", "recall", "precision", "experts in the set", "recall of the best k", "pre-gate's best k", "ratio");
        foreach (var recall in recalls)
        {
            Report.Row(
                recall.Distance == 0 ? "1, the first layer from the token id and what it used in the step before" : $"{recall.Distance}",
                Percent(recall.Recall), Percent(recall.Precision), $"{recall.SetSize:F2}", Percent(recall.RecallAtK),
                recall.Distance == 0 ? "" : Percent(recall.PreGateAtK), recall.Distance == 0 ? "" : $"{recall.RecallAtK / recall.PreGateAtK:F2}x");
        }

        var own = recalls.First(recall => recall.Distance == horizon);
        var strict = loaded.First(recall => recall.Distance == horizon);
        var four = recalls.First(recall => recall.Distance == 4);
        Report.Line("");
        Report.Line($"Bar: recall at the controller's own horizon (simulated NVMe, half of the experts in memory: {horizon}) at least {Percent(Bar)}: {Percent(own.Recall)} with a set of {own.SetSize:F2}, {Report.AtLeast(own.Recall, Bar)}.");
        Report.Line($"What it loads ahead there has a probability of {threshold:F2} or more: recall of that {Percent(strict.Recall)} with {strict.SetSize:F2} experts.");
        Report.Line($"Bar: at least 2x the pre-gate's at distance 4: {four.RecallAtK / four.PreGateAtK:F2}x, {Report.AtLeast(four.RecallAtK / four.PreGateAtK, 2)}.");
        Report.Line($"Cost, one prediction and its lesson, one thread: {warm.TotalMicroseconds / predictions:F1} us.");
    }

    private static RoutingPredictor Copy(RoutingPredictor predictor)
    {
        using var memory = new MemoryStream();
        using (var writer = new BinaryWriter(memory, Encoding.UTF8, leaveOpen: true))
            predictor.Save(writer);
        memory.Position = 0;
        using var reader = new BinaryReader(memory);
        return RoutingPredictor.Load(reader, RoutingPredictor.LoadShape(reader));
    }

    /// <summary>Where the controller settles, and from which probability on it loads.</summary>
    private static (int Horizon, float Threshold) Own(RoutingTrace trace)
    {
        var source = new TraceReplay(trace, 1);
        var shape = DemonstrationTrace.Shape(trace);
        var policy = new ExpertFlowPolicy(new RoutingPredictor(source.Shape), new HorizonLimits(8, 4, 8));
        var run = new Simulator(source, SimulatedTimes.Of(Profiles.Hardware("nvme"), shape, 1), policy, shape.Layers * shape.Experts / 2).Run(source.Steps / 2);
        return ((int)Math.Clamp(Math.Round(run.MeanHorizon), 1, shape.Layers - 1), policy.Threshold);
    }

    private static (TimeSpan Time, IReadOnlyList<HorizonRecall> Result) Timed(Func<IReadOnlyList<HorizonRecall>> work)
    {
        var begun = Stopwatch.GetTimestamp();
        var result = work();
        return (Stopwatch.GetElapsedTime(begun), result);
    }

    private static string Percent(double share) => $"{100 * share:F1}%";
}

/// <summary>Routing of the demonstration model on a novel.</summary>
internal static class DemonstrationTrace
{
    private static readonly string Model = Path.Combine(RepositoryFiles.Root, "samples", "models", "austen-moe");

    public static string Text { get; } = File.ReadAllText(Path.Combine(RepositoryFiles.Root, "tests", "KvCache.Tests", "Data", "austen.txt"));

    public static RoutingTrace Record(int letters) =>
        TraceRun.OfText(Model, Text[..Math.Min(letters, Text.Length)], int.MaxValue, null, new ModelLoadOptions { Threads = 1 });

    /// <summary>A predictor that has learned from what the model writes itself.</summary>
    public static RoutingPredictor TaughtOnOwnText(string directory, int tokens, ModelLoadOptions options) =>
        TraceRun.OfSequences(directory, OwnText.Write(directory, tokens, 1, options), options).Aggregate((RoutingPredictor?)null, (predictor, piece) => PredictorTraining.Run(piece, predictor))!;

    public static int TokensOf(int letters) => Moebius.Inference.Text.Tokenization.Tokenizer.Load(Model).Encode(Text[..letters], false).Count;

    public static ModelShape Shape(RoutingTrace trace) => new()
    {
        Title = "demonstration model",
        Layers = trace.Shape.Layers,
        Experts = trace.Shape.Experts,
        TopK = trace.Shape.TopK,
        ExpertBytes = trace.Shape.ExpertBytes,
        LayerBytes = trace.Shape.DenseBytes / (trace.Shape.Layers + 1),
        OtherBytes = trace.Shape.DenseBytes / (trace.Shape.Layers + 1),
    };
}
