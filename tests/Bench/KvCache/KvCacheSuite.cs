namespace Moebius.Bench.KvCache;

/// <summary>Benchmarks of the KV cache: <c>make bench-kvcache</c>.</summary>
internal static class KvCacheSuite
{
    public static Suite Suite { get; } = new("kvcache",
    [
        new("lookup", LookupBench.RunAsync),
        new("index", () => Task.Run(IndexBench.Run)),
        new("ttft", TtftBench.RunAsync),
    ]);
}
