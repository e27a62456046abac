using Moebius.Crds;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Bench;

/// <summary>A short measurement of every node's memory, for machines whose firmware reports no bandwidth.</summary>
internal static class NodeBandwidth
{
    private const long Bytes = 64L << 20;
    private const int Repeats = 3;
    private static readonly TimeSpan Duration = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// GiB/s by node at a share of reads (0 to 1), or why that cannot be measured. Takes 0.3 s and 64 MiB per thread for
    /// each node; at most eight threads.
    /// </summary>
    public static (IReadOnlyDictionary<int, double>? Bandwidths, string? Failure) Measure(IEnumerable<NumaNode> nodes, double readShare)
    {
        var bandwidths = new Dictionary<int, double>();
        try
        {
            foreach (var node in nodes)
            {
                using var bench = new MemoryBench(new BenchOptions
                {
                    Threads = Math.Min(Environment.ProcessorCount, 8),
                    BytesPerThread = Bytes,
                    Node = node.Id,
                    ReadShares = [readShare],
                    Duration = Duration,
                    Repeats = Repeats,
                });
                bandwidths[node.Id] = bench.Run(CancellationToken.None).Single().Median;
            }

            return (bandwidths, null);
        }
        catch (UserInputException error)
        {
            return (null, error.Message);
        }
    }
}
