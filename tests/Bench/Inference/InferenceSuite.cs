namespace Moebius.Bench.Inference;

/// <summary>Benchmarks of the inference pod: <c>make bench-inference</c>.</summary>
internal static class InferenceSuite
{
    public static Suite Suite { get; } = new("inference",
    [
        new("profile", () => Task.Run(ProfileBench.Run)),
        new("speed", SpeedBench.LargeAsync),
        new("overhead", SpeedBench.SmallAsync),
        new("step-demo", StepBench.SmallAsync),
        new("step-large", StepBench.LargeAsync),
        new("sampling", () => Task.Run(SamplingBench.Run)),
        new("constraints", () => Task.Run(ConstraintBench.Run)),
        new("quantized", () => Task.Run(QuantizedBench.Run)),
        new("dequantize", () => Task.Run(DequantizeBench.Run)),
        new("stall-demo", () => Task.Run(StallBench.Demonstration)),
        new("stall-large-25", () => Task.Run(() => StallBench.Large(25))),
        new("stall-large-50", () => Task.Run(() => StallBench.Large(50))),
        new("stall-large-75", () => Task.Run(() => StallBench.Large(75))),
        new("link", () => Task.Run(LinkBench.Run)),
        new("memory-limit", MemoryLimitBench.RunAsync),
        new("rss", RssBench.RunAsync),
        new("planner-cost", () => Task.Run(PlannerCostBench.Run)),
        new("recall", () => Task.Run(RecallBench.Run)),
        new("simulation", () => Task.Run(SimulationBench.Run)),
        new("simulation-parts", () => Task.Run(SimulationPartsBench.Run)),
    ]) { IsServer = true };
}
