namespace Moebius.Cxl.Simulation;

/// <summary>A thread of a simulated workload.</summary>
/// <param name="ReadShare">Share of reads, 0 to 1.</param>
/// <param name="Demand">GiB/s on a core when nothing limits it.</param>
/// <param name="LatencyClass">Little traffic that must not wait.</param>
internal sealed record SimulatedThread(double ReadShare, double Demand, bool LatencyClass = false);

/// <summary>Threads on cores that share one link.</summary>
/// <param name="Threads">The threads, always runnable.</param>
/// <param name="Cores">Cores on the link.</param>
internal sealed record Workload(IReadOnlyList<SimulatedThread> Threads, int Cores)
{
    /// <summary>Readers, writers and balanced threads in the given numbers, each asking for the same.</summary>
    public static Workload Classes(int readers, int writers, int balanced, int latency, int cores, double demand) => new(
        [
            .. Enumerable.Repeat(new SimulatedThread(1, demand), readers),
            .. Enumerable.Repeat(new SimulatedThread(0, demand), writers),
            .. Enumerable.Repeat(new SimulatedThread(0.5, demand), balanced),
            .. Enumerable.Repeat(new SimulatedThread(0.5, demand / 20, LatencyClass: true), latency),
        ],
        cores);
}
