using System.Numerics;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Simulation;

/// <summary>What a strategy reached in simulation.</summary>
/// <param name="Strategy">The strategy's name; "none" for the kernel's fair scheduling, "oracle" for the bound.</param>
/// <param name="Bandwidth">GiB/s on average.</param>
/// <param name="OfOracle">Share of the oracle's bandwidth.</param>
/// <param name="ReadShare">Share of reads in what was carried.</param>
/// <param name="WaitP99">99th percentile of a bulk thread's wait for a core, in milliseconds.</param>
/// <param name="WaitMaximum">Longest wait of any thread, in milliseconds.</param>
/// <param name="LatencyP99">99th percentile of the latency class; null without such threads.</param>
/// <param name="Fairness">Jain's index of time per bulk thread: 1 is equal.</param>
/// <param name="Note">What the strategy says about itself.</param>
internal sealed record SimulationResult(string Strategy, double Bandwidth, double OfOracle, double? ReadShare, double? WaitP99, double? WaitMaximum, LatencyTail? LatencyP99, double? Fairness, string? Note = null);

/// <summary>The tail of the latency class, in its two parts.</summary>
/// <param name="Wait">Milliseconds for a core.</param>
/// <param name="Slowdown">Access time as a multiple of an idle link's.</param>
internal sealed record LatencyTail(double Wait, double Slowdown);

/// <summary>
/// Runs threads on cores that share one link, slice by slice. The link carries what its curve says for the mix that runs;
/// threads wait for their own accesses, so beyond its capacity an access takes longer by what is asked over what is
/// carried. A model: it shows what a schedule can reach on the published curves, not what a
/// machine does.
/// </summary>
internal sealed class Simulator(LinkCurve curve, Workload workload, int seed)
{
    /// <summary>A slice on a core, in milliseconds.</summary>
    internal const double SliceMilliseconds = 2;

    /// <summary>Aging limit of the pairing, in slices: the default of 20 ms.</summary>
    internal const int AgingSlices = 10;

    /// <summary>Share of the link that the latency guard leaves to bulk traffic.</summary>
    internal const double GuardUtilisation = 0.9;

    /// <summary>The strategies that are simulated.</summary>
    public static IReadOnlyList<MemoryStrategy> Strategies { get; } = [MemoryStrategy.Observe, MemoryStrategy.DuplexPair, MemoryStrategy.DuplexToken, MemoryStrategy.LatencyGuard, MemoryStrategy.Auto];

    /// <summary>
    /// The bound: no schedule that gives every thread the same time, and no limit on a direction, carries more than the
    /// concave envelope, at the threads' average mix, of the link with the limiter in front.
    /// </summary>
    public SimulationResult Oracle()
    {
        var share = workload.Threads.Sum(thread => thread.Demand * thread.ReadShare) / workload.Threads.Sum(thread => thread.Demand);
        return new SimulationResult("oracle", DirectionLimiter.InFrontOf(curve, Demand).Envelope(share).Bandwidth, 1, null, null, null, null, null);
    }

    /// <summary>What all cores together ask for on average, GiB/s.</summary>
    private double Demand => workload.Threads.Average(thread => thread.Demand) * Math.Min(workload.Cores, workload.Threads.Count);

    /// <summary>Runs a strategy for a number of slices.</summary>
    public SimulationResult Run(MemoryStrategy strategy, int slices)
    {
        var random = new Random(seed);
        var count = workload.Threads.Count;
        var pairing = new DuplexPairing(curve, AgingLimit(count));
        var limited = new DuplexPairing(DirectionLimiter.InFrontOf(curve, Demand), AgingLimit(count));
        var auto = new AutoSelector([MemoryStrategy.Observe, MemoryStrategy.DuplexPair, MemoryStrategy.DuplexToken]);
        var window = new RunningMean(50);
        var runtime = new int[count];
        var waited = new int[count];
        var waits = new List<int>();
        var latencyWaits = new List<int>();
        var slowdowns = new List<double>();
        var (reads, writes) = (0.0, 0.0);
        for (var slice = 0; slice < slices; slice++)
        {
            var active = strategy == MemoryStrategy.Auto ? auto.Current : strategy;
            var picked = active != MemoryStrategy.Observe
                ? (active == MemoryStrategy.DuplexToken ? limited : pairing).Pick([.. workload.Threads.Select((thread, i) => new RunnableThread(thread.ReadShare, thread.Demand, runtime[i], waited[i], thread.LatencyClass && active == MemoryStrategy.LatencyGuard))], workload.Cores)
                : Fair(random, runtime);
            var (readDemand, writeDemand) = (picked.Sum(i => workload.Threads[i].Demand * workload.Threads[i].ReadShare), picked.Sum(i => workload.Threads[i].Demand * (1 - workload.Threads[i].ReadShare)));
            var carried = Carry(active, readDemand, writeDemand, out var slowdown);
            reads += carried.Reads;
            writes += carried.Writes;
            if (strategy == MemoryStrategy.Auto && window.Add(carried.Reads + carried.Writes) is { } mean)
                auto.Measured(mean);

            for (var i = 0; i < count; i++)
                waited[i]++;
            foreach (var i in picked)
            {
                var list = workload.Threads[i].LatencyClass ? latencyWaits : waits;
                list.Add(waited[i] - 1);
                if (workload.Threads[i].LatencyClass)
                    slowdowns.Add(slowdown);
                waited[i] = 0;
                runtime[i]++;
            }
        }

        var bandwidth = (reads + writes) / slices;
        return new SimulationResult(
            strategy == MemoryStrategy.Observe ? "none" : $"{strategy}",
            bandwidth,
            bandwidth / Oracle().Bandwidth,
            reads / Math.Max(reads + writes, double.Epsilon),
            Percentile(waits) * SliceMilliseconds,
            Math.Max(Math.Max(waits.DefaultIfEmpty().Max(), latencyWaits.DefaultIfEmpty().Max()), waited.Max()) * SliceMilliseconds,
            latencyWaits.Count == 0 ? null : new LatencyTail(Percentile(latencyWaits) * SliceMilliseconds, Percentile(slowdowns)),
            Jain([.. runtime.Where((_, i) => !workload.Threads[i].LatencyClass)]),
            strategy == MemoryStrategy.Auto ? auto.Reason : null);
    }

    /// <summary>An aging limit below the fair share's own period would overrule every choice.</summary>
    private int AgingLimit(int threads) => Math.Max(AgingSlices, 3 * (int)Math.Ceiling((double)threads / workload.Cores));

    private (double Reads, double Writes) Carry(MemoryStrategy strategy, double reads, double writes, out double slowdown)
    {
        if (strategy == MemoryStrategy.DuplexToken)
            (reads, writes) = DirectionLimiter.Admit(curve, reads, writes);
        var asked = reads + writes;
        slowdown = 1;
        if (asked <= 0)
            return (0, 0);
        var capacity = curve.At(reads / asked);
        var scale = Math.Min(1, capacity / asked);
        if (strategy == MemoryStrategy.LatencyGuard)
            scale = Math.Min(1, GuardUtilisation * capacity / asked); // held back before the link
        else
            slowdown = Math.Max(1, asked / capacity);
        return (reads * scale, writes * scale);
    }

    /// <summary>Those who have had least time; chance decides between equals.</summary>
    private List<int> Fair(Random random, int[] runtime) =>
        [.. Enumerable.Range(0, runtime.Length).OrderBy(i => runtime[i]).ThenBy(_ => random.Next()).Take(workload.Cores)];

    private static T Percentile<T>(IReadOnlyCollection<T> values)
        where T : INumber<T> => values.Count == 0 ? T.Zero : values.Order().ElementAt((int)(0.99 * (values.Count - 1)));

    private static double Jain(int[] runtime)
    {
        var sum = runtime.Sum(value => (double)value);
        return sum <= 0 ? 1 : sum * sum / (runtime.Length * runtime.Sum(value => (double)value * value));
    }

    private sealed class RunningMean(int window)
    {
        private double _sum;
        private int _count;

        public double? Add(double value)
        {
            _sum += value;
            if (++_count < window)
                return null;
            var mean = _sum / _count;
            (_sum, _count) = (0, 0);
            return mean;
        }
    }
}
