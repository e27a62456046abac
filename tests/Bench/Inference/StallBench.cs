using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>
/// Time that decoding waits for experts, real reads past the page cache: on demand, under the prefetch policies, and
/// under oracles that know the routing. Each repeat runs all of them one after the other, so that a ratio is taken
/// within it.
/// </summary>
internal static class StallBench
{
    /// <summary>Layers that the oracle looks ahead: the largest horizon that the policy may choose by default.</summary>
    private static readonly int s_oracleHorizon = new PrefetchSpec().MaxHorizon;

    private static readonly (string Name, PrefetchSpec? Prefetch)[] s_modes =
    [
        ("on demand, LRU", new PrefetchSpec()),
        ("pre-gate, 1 layer", new PrefetchSpec { Mode = PrefetchMode.Fixed, Horizon = 1 }),
        ("pre-gate, 2 layers", new PrefetchSpec { Mode = PrefetchMode.Fixed, Horizon = 2 }),
        ("adaptive", new PrefetchSpec { Mode = PrefetchMode.Adaptive }),
        ("oracle", null),
        ("oracle, Belady", null),
    ];

    public static void Demonstration() => Measure("demonstration model", BenchModels.Demonstration(), warm: 60, tokens: 120, repeats: 5);

    public static void Large() => Measure("random model of 2.5 GB", BenchModels.Large(), warm: 6, tokens: 10, repeats: 3);

    private static void Measure(string name, string directory, int warm, int tokens, int repeats)
    {
        int[] prompt = [.. Enumerable.Range(0, 12).Select(i => 40 + (i * 131 % 2000))];
        var run = new DecodeRun(directory, prompt, warm, tokens);
        var (all, expert) = Sizes(directory);
        foreach (int percent in new[] { 25, 50, 75 })
        {
            long budget = all * percent / 100;
            var record = new RoutingRecord();
            int[] expected = run.Run(budget, policy: new Recorder(record)).Output;
            var results = s_modes.Select(_ => new List<DecodeResult>()).ToArray();
            for (int repeat = 0; repeat < repeats; repeat++)
            {
                for (int i = 0; i < s_modes.Length; i++)
                {
                    // Another order each time: what disturbs the machine disturbs all.
                    int mode = (i + repeat) % s_modes.Length;
                    var result = Run(run, mode, budget, record, (int)(budget / expert));
                    if (!result.Output.SequenceEqual(expected))
                        throw new InvalidOperationException($"{s_modes[mode].Name} changed the output");
                    results[mode].Add(result);
                }
            }
            Print($"Stall, {name}, {percent}% of the experts in memory ({repeats} repeats of {tokens} tokens, one sequence)", results);
        }
    }

    private static DecodeResult Run(DecodeRun run, int mode, long budget, RoutingRecord record, int slots)
    {
        if (s_modes[mode].Prefetch is { } prefetch)
            return run.Run(budget, prefetch);
        // A plan may fill the high level of the cache and leaves the rest to what is in use.
        var oracle = new Oracle(record, s_oracleHorizon, slots * 3 / 4);
        return run.Run(budget, policy: oracle, nextUse: s_modes[mode].Name.EndsWith("Belady", StringComparison.Ordinal) ? oracle.NextUse : null);
    }

    private static void Print(string title, List<DecodeResult>[] results)
    {
        int oracle = Array.FindIndex(s_modes, m => m.Name == "oracle");
        Report.Title(title, "loads", "tokens/s", "stall, ms a token", "share of the time", "hits", "loaded ahead, a token", "evicted unused, a token", "MB a token", "stall / oracle's", "stall / on demand's");
        for (int mode = 0; mode < s_modes.Length; mode++)
        {
            var all = results[mode];
            Report.Row(
                s_modes[mode].Name,
                Over(r => r.TokensPerSecond).Text("F2"),
                Over(r => r.Stall * 1e3).Text("F3"),
                Over(r => 100 * r.Experts.StallSeconds / r.Seconds).Text("F1", "%"),
                Over(r => 100 * r.HitRate).Text("F1", "%"),
                Over(r => (double)r.Experts.Prefetched / r.Tokens).Text("F1"),
                Over(r => (double)r.Experts.OverFetched / r.Tokens).Text("F1"),
                Over(r => r.Experts.LoadedBytes / 1e6 / r.Tokens).Text("F2"),
                Ratio(mode, oracle).Text("F2", "x"),
                Ratio(mode, 0).Text("F3", "x"));

            Spread Over(Func<DecodeResult, double> of) => Spread.Of(all.Select(of));
        }
        int adaptive = Array.FindIndex(s_modes, m => m.Name == "adaptive");
        var against = Ratio(adaptive, oracle);
        Report.Line("");
        Report.Line($"Bar: adaptive's stall at most 1.20x the oracle's: {against.Text("F2", "x")}, {Report.AtMost(against.Median, 1.2)}.");
        if (Ratio(oracle, 0).Median < 0.02)
            Report.Line($"Bar: at most 5% of on demand's, since the oracle's is below 2%: {Ratio(adaptive, 0).Text("F3", "x")}, {Report.AtMost(Ratio(adaptive, 0).Median, 0.05)}.");

        Spread Ratio(int mode, int other) => Spread.Of(results[mode].Zip(results[other], (a, b) => a.Stall / Math.Max(b.Stall, 1e-9)));
    }

    private static (long All, long Expert) Sizes(string directory)
    {
        using var model = ModelLoader.Load(directory, new ModelLoadOptions { Threads = 1, ExpertBudgetBytes = null });
        return (model.Info.ExpertBytes, model.Info.ExpertBytes / model.Info.ExpertCount);
    }
}
