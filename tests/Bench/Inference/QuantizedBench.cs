using System.Globalization;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>Quantised experts beside bf16 ones, all resident: memory and speed. Quality is what <c>moebius perplexity</c> measures.</summary>
internal static class QuantizedBench
{
    private const int Threads = 2;
    private const int Repeats = 3;
    private static readonly int[] Batches = [1, 4, 16];

    public static void Run()
    {
        var directory = LargeModel.Ensure();
        var kinds = Enum.GetValues<ExpertQuantization>();
        var models = kinds.Select(kind => new OwnModel(directory, new ModelLoadOptions { Threads = Threads, Quantization = kind })).ToArray();
        foreach (var model in models)
            Measure(model, 4);
        Thread.Sleep(300);
        var speeds = models.Select(_ => new List<double[]>()).ToArray();
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            for (var i = 0; i < models.Length; i++)
                speeds[i].Add(Measure(models[i], 16));
        }

        Report.Title($"Quantised experts, 2.5 GB model, {Threads} threads, all experts resident ({Repeats} repeats; tokens/s)",
            ["experts", "expert memory, MB", .. Batches.Select(batch => $"decode, batch {batch}"), "prefill of 256"]);
        for (var i = 0; i < models.Length; i++)
        {
            var kind = i;
            Report.Row([
                kinds[i].Name(), string.Create(CultureInfo.InvariantCulture, $"{models[i].Model.Experts.ResidentBytes / 1e6:F0}"),
                .. Enumerable.Range(0, Batches.Length + 1).Select(figure =>
                    Spread.Of(speeds[kind].Select(run => run[figure])).Text("F0") + ", " + Spread.Of(speeds[kind].Zip(speeds[0], (run, plain) => run[figure] / plain[figure])).Text("F2", "x"))]);
        }
        foreach (var model in models)
            model.Dispose();
    }

    private static double[] Measure(OwnModel model, int output) => [.. Batches.Select(batch => model.Decode(batch, 16, output)), model.Prefill(256)];
}
