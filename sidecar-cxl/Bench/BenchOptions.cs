namespace Moebius.Cxl.Bench;

/// <summary>What the microbenchmark does.</summary>
internal sealed record BenchOptions
{
    /// <summary>Threads that access memory.</summary>
    public required int Threads { get; init; }

    /// <summary>Bytes per thread.</summary>
    public required long BytesPerThread { get; init; }

    /// <summary>NUMA node to take memory from; null for the kernel's choice.</summary>
    public int? Node { get; init; }

    /// <summary>Shares of reads to measure, 0 to 1.</summary>
    public required IReadOnlyList<double> ReadShares { get; init; }

    /// <summary>How long one measurement takes.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Measurements per share.</summary>
    public required int Repeats { get; init; }

    /// <summary>Keep the memory from being paged out.</summary>
    public bool Lock { get; init; }

    /// <summary>Ask for huge pages.</summary>
    public bool HugePages { get; init; }

    /// <summary>Write past the caches.</summary>
    public bool NonTemporal { get; init; }
}

/// <summary>What was measured at one share of reads.</summary>
/// <param name="ReadShare">Share of reads, 0 to 1.</param>
/// <param name="Median">GiB/s.</param>
/// <param name="Minimum">GiB/s of the slowest repeat.</param>
/// <param name="Maximum">GiB/s of the fastest repeat.</param>
internal sealed record BenchPoint(double ReadShare, double Median, double Minimum, double Maximum);
