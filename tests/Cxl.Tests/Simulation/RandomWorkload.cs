using Moebius.Cxl.Simulation;

namespace Moebius.Cxl.Tests.Simulation;

/// <summary>Workloads by chance, for tests and benchmarks.</summary>
internal static class RandomWorkload
{
    /// <summary>A random mix of readers, writers and balanced threads that asks for about twice what the link carries.</summary>
    public static Workload Mix(Random random, int threads, int cores, double peak)
    {
        var (readers, writers) = (random.NextDouble(), random.NextDouble());
        var balanced = random.NextDouble() / 2;
        var sum = readers + writers + balanced;
        return new Workload(
            [.. Enumerable.Range(0, threads).Select(_ =>
            {
                var kind = random.NextDouble() * sum;
                var share = kind < readers ? 0.8 + 0.2 * random.NextDouble() : kind < readers + writers ? 0.2 * random.NextDouble() : 0.4 + 0.2 * random.NextDouble();
                return new SimulatedThread(share, (0.5 + random.NextDouble()) * 2 * peak / cores);
            })],
            cores);
    }
}
