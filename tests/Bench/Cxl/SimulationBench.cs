using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Simulation;
using Moebius.Cxl.Tests.Simulation;

namespace Moebius.Bench.Cxl;

/// <summary>
/// How much of the oracle's bandwidth each strategy reaches on the published curves. A simulation: the strategies' own
/// code on a model of the link.
/// </summary>
internal static class SimulationBench
{
    private const int Mixes = 50;
    private const int Threads = 48;
    private const int Cores = 16;
    private const int Slices = 1500;

    public static Task RunAsync()
    {
        Report.Title(
            $"SIMULATION: share of the oracle's bandwidth ({Mixes} random mixes of {Threads} threads on {Cores} cores, {Slices} slices of {Simulator.SliceMilliseconds} ms)",
            "curve", "strategy", "mean", "worst", "best", "bar: mean >= 95%, worst >= 90%");
        foreach (var curve in LinkCurve.Published)
        {
            foreach (var strategy in Simulator.Strategies)
            {
                var shares = Enumerable.Range(0, Mixes)
                    .Select(seed => new Simulator(curve, RandomWorkload.Mix(new Random(seed), Threads, Cores, curve.At(curve.BestShare)), seed).Run(strategy, Slices).OfOracle)
                    .ToList();
                var bar = strategy != MemoryStrategy.Auto ? "" : shares.Average() >= 0.95 && shares.Min() >= 0.90 ? "met" : "NOT met";
                Report.Row(curve.Name, strategy == MemoryStrategy.Observe ? "none (fair)" : $"{strategy}", $"{shares.Average():P1}", $"{shares.Min():P1}", $"{shares.Max():P1}", bar);
            }
        }

        return Task.CompletedTask;
    }
}
