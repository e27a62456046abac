namespace Moebius.Bench;

/// <summary>The benchmarks of one room, in the order in which they run.</summary>
internal sealed record Suite(string Name, IReadOnlyList<Benchmark> Benchmarks);

/// <summary>One benchmark; it prints its own tables through <see cref="Report"/>.</summary>
internal sealed record Benchmark(string Name, Func<Task> RunAsync);
