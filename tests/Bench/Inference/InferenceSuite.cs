namespace Moebius.Bench.Inference;

/// <summary>Benchmarks of the inference pod: <c>make bench-inference</c>.</summary>
internal static class InferenceSuite
{
    public static Suite Suite { get; } = new("inference",
    [
        new("profile", () => Task.Run(ProfileBench.Run)),
        new("speed", SpeedBench.LargeAsync),
        new("overhead", SpeedBench.SmallAsync),
    ]);
}
