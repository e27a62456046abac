namespace Moebius.Bench;

/// <summary>The benchmarks of one part, in the order in which they run.</summary>
internal sealed record Suite(string Name, IReadOnlyList<Benchmark> Benchmarks)
{
    /// <summary>Whether what is measured runs in this process, which then has the runtime's settings of a server.</summary>
    public bool IsServer { get; init; }
}

/// <summary>One benchmark; it prints its own tables through <see cref="Report"/>.</summary>
internal sealed record Benchmark(string Name, Func<Task> RunAsync);
