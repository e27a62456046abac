using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Bench.Inference;

internal static class Sweep
{
    public static void Run()
    {
        string directory = BenchModels.Demonstration();
        string text = File.ReadAllText(Path.Combine(ProductProcess.Repository, "tests", "KvCache.Tests", "Data", "austen.txt"));
        int[] script = [.. Tokenizer.Load(directory).Encode(text[..(text.Length / 2)], true).Take(12 + 1500 + 300)];
        var run = new DecodeRun(directory, script, 12, 300);
        long all = 192L * 61440;
        var shape = new RoutingShape(6, 32, 4, 4096);
        Report.Title("sweep", "budget", "mode", "tok/s", "stall us/token", "hits", "late/tok", "pre/tok", "over/tok", "horizon", "recall");
        foreach (int percent in new[] { 25, 50, 75 })
        {
            long budget = all * percent / 100;
            var record = new RoutingRecord();
            Row("on demand rec", run.Run(budget, policy: new Recorder(record)));
            for (int r = 0; r < 2; r++)
            {
                var oracle = new Oracle(record, 8, (int)(budget / 61440) * 3 / 4, false);
                Row("oracle", run.Run(budget, policy: oracle));
                foreach (int h in new[] { 0, 2, 4 })
                    foreach (float t in new[] { 0.05f, 0.1f, 0.2f, 0.3f })
                        Row($"h{h} t{t}", run.Run(budget, policy: new ExpertFlowPolicy(new RoutingPredictor(shape), new HorizonLimits(8, 4, 8), t, h)));
            }
            void Row(string mode, DecodeResult r) => Report.Row($"{percent}", mode, $"{r.TokensPerSecond:F0}", $"{r.Stall * 1e6:F0}", $"{r.HitRate:P1}", $"{(double)r.Experts.Late / r.Tokens:F2}", $"{(double)r.Experts.Prefetched / r.Tokens:F1}", $"{(double)r.Experts.OverFetched / r.Tokens:F1}", $"{r.Experts.Horizon:F1}", $"{(double)r.Experts.Foreseen / r.Experts.Uses:P1}");
        }
    }
}
