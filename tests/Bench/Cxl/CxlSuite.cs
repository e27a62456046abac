namespace Moebius.Bench.Cxl;

/// <summary>The node agent's benchmarks: <c>make bench-cxl</c>, docs/benchmarks/cxl.md.</summary>
internal static class CxlSuite
{
    public static Suite Suite { get; } = new("cxl",
    [
        new Benchmark("simulation", SimulationBench.RunAsync),
        new Benchmark("observer", ObserverBench.RunAsync),
        new Benchmark("interval", IntervalBench.RunAsync),
        new Benchmark("scheduler", SchedulerBench.RunAsync),
    ]);
}
