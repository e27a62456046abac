namespace Moebius.Bench.Inference;

/// <summary>Benchmarks of the inference pod: <c>make bench-inference</c>.</summary>
internal static class InferenceSuite
{
    public static Suite Suite { get; } = new("inference",
    [
        new("stall-demo", () => Task.Run(StallBench.Demonstration)),
        new("stall-large", () => Task.Run(StallBench.Large)),
        new("memory-limit", MemoryLimitBench.RunAsync),
        new("rss", RssBench.RunAsync),
        new("recall", () => Task.Run(RecallBench.Run)),
        new("simulation", () => Task.Run(SimulationBench.Run)),
    ]);
}
