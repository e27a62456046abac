using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tests.Tiers;
using Moebius.KvCache.Tiers;

namespace Moebius.Bench.KvCache;

/// <summary>
/// kill -9 of a real sidecar at random points under load, on the same SSD tier again and again, with every byte that is
/// served checked; and how long the tier takes to come up with 100,000 blocks. MOEBIUS_BENCH_KILLS sets how many kills,
/// MOEBIUS_BENCH_SEED from which on they are counted: runs with other seeds are other kills, and their sums may be stated.
/// </summary>
internal static class CrashBench
{
    private const int Clients = 3;
    private const int LongestLife = 900;
    private const int ManyBlocks = 100_000;
    private const int Restarts = 5;

    public static async Task RunAsync()
    {
        var (kills, seed) = (Setting.Number("MOEBIUS_BENCH_KILLS", 1000, least: 1), Setting.Number("MOEBIUS_BENCH_SEED", 0));
        var folder = Directory.CreateTempSubdirectory("moebius-bench-").FullName;
        var memory = MemoryFolder.Create();
        var arena = Path.Combine(memory.FullName, "arena");
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "policy.yaml"), CrashLoad.Policy);
            await File.WriteAllBytesAsync(Path.Combine(folder, "key"), RandomNumberGenerator.GetBytes(32));
            var tally = new CrashTally();
            var starts = new List<double>();
            var random = new Random(seed);
            for (var kill = seed; kill < seed + kills; kill++)
            {
                var begun = Stopwatch.GetTimestamp();
                // In turn an arena that evicts all the time, and one that lies in huge pages.
                await using var server = Start(folder, arena, kill % 2 == 0 ? "160Ki" : "4Mi", "1Mi");
                await server.SaysAsync("Serving on");
                starts.Add(Stopwatch.GetElapsedTime(begun).TotalSeconds);
                using var stop = new CancellationTokenSource();
                var load = Enumerable.Range(0, Clients).Select(client => CrashLoad.RunAsync(Path.Combine(folder, "kv.sock"), (kill * Clients) + client, tally, stop.Token)).ToArray();
                await Task.Delay(random.Next(LongestLife));
                server.Kill();
                await stop.CancelAsync();
                await Task.WhenAll(load);
            }

            Report.Title($"kill -9 at random points under load ({kills} kills from seed {seed} on, {Clients} clients, 3 tenants)", "figure", "seen", "bar", "");
            Report.Row("blocks read", Number(tally.Read), "", "");
            Report.Row("blocks committed", Number(tally.Committed), "", "");
            Report.Row("blocks with wrong bytes", Number(tally.Wrong), "0", Report.AtMost(tally.Wrong, 0));
            Report.Row("private blocks of another tenant", Number(tally.Foreign), "0", Report.AtMost(tally.Foreign, 0));
            Report.Row("process start to serving, s", Spread.Of(starts).Text("F2"), "", "");
            await RestartAsync(folder, arena);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
            memory.Delete(recursive: true);
        }
    }

    private static async Task RestartAsync(string folder, string arena)
    {
        var path = Path.Combine(folder, "ssd");
        Directory.Delete(path, recursive: true);
        var master = MasterSecret.Load(Path.Combine(folder, "key"));
        using (var tier = SsdTier.Open(path, 2L << 30, master.Check, TimeProvider.System, NullLogger.Instance))
        {
            var body = new byte[4096];
            var reason = new PublicReason(Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(CrashLoad.SystemPrompt))));
            for (var block = 0; block < ManyBlocks; block++)
                tier.TryWrite(new TierBlock(BlockId.Read(SHA256.HashData(BitConverter.GetBytes(block))), default, default, reason, block), body, null, long.MaxValue);
        }

        var opens = new List<double>();
        var serving = new List<double>();
        for (var repeat = 0; repeat < Restarts; repeat++)
        {
            var begun = Stopwatch.GetTimestamp();
            using (var tier = SsdTier.Open(path, 2L << 30, master.Check, TimeProvider.System, NullLogger.Instance))
            {
                opens.Add(Stopwatch.GetElapsedTime(begun).TotalSeconds);
                if (tier.Statistics().Blocks != ManyBlocks)
                    throw new InvalidOperationException($"{tier.Statistics().Blocks} blocks were found instead of {ManyBlocks}");
            }

            begun = Stopwatch.GetTimestamp();
            await using var server = Start(folder, arena, "16Mi", "2Gi");
            await server.SaysAsync("Serving on");
            serving.Add(Stopwatch.GetElapsedTime(begun).TotalSeconds);
            server.Kill();
        }

        Report.Row($"opening a tier of {ManyBlocks} blocks, s", Spread.Of(opens).Text("F2"), "", "");
        var restart = Spread.Of(serving);
        Report.Row($"process start to serving with {ManyBlocks} blocks, s", restart.Text("F2"), "<= 2", Report.AtMost(restart.Median, 2));
    }

    private static ProductProcess Start(string folder, string arena, string arenaSize, string ssdSize) => ProductProcess.Start(
        "kvcache", "serve", "--socket", Path.Combine(folder, "kv.sock"), "--arena", arena, "--arena-size", arenaSize,
        "--policy", Path.Combine(folder, "policy.yaml"), "--ssd", Path.Combine(folder, "ssd"), "--ssd-size", ssdSize, "--encryption-key", Path.Combine(folder, "key"));

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
