using Moebius.Bench.KvCache.Attack;
using Moebius.Bench.KvCache.Detection;

namespace Moebius.Bench.KvCache;

/// <summary>Benchmarks of the KV cache: <c>make bench-kvcache</c>.</summary>
internal static class KvCacheSuite
{
    public static Suite Suite { get; } = new("kvcache",
    [
        new("lookup", LookupBench.RunAsync),
        new("index", () => Task.Run(IndexBench.Run)),
        new("million", () => Task.Run(IndexBench.RunMillion)),
        new("get", GetBench.RunAsync),
        new("crash", CrashBench.RunAsync),
        new("ttft", TtftBench.RunAsync),
        new("recall", RecallBench.RunAsync),
        new("hostile", HostileBench.RunAsync),
        new("classifier", ClassifierBench.RunAsync),
        new("attack", AttackBench.RunAsync),
        new("timing-attack", TimingAttack.RunAsync),
    ]);
}
