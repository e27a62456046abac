using System.Globalization;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>
/// The most memory that a real server takes, over what it was told to take: expert budget, dense weights, keys and
/// values of the tokens that it held.
/// </summary>
internal static class RssBench
{
    private const int Tokens = 24;

    public static async Task RunAsync()
    {
        var model = BenchModels.Large();
        long experts;
        using (var loaded = ModelLoader.Load(model, new ModelLoadOptions { Threads = 1, ExpertBudgetBytes = 64 << 20 }))
            experts = loaded.Info.ExpertBytes;
        var dense = Directory.GetFiles(model, "*.safetensors").Sum(file => new FileInfo(file).Length) - experts;
        var prompt = string.Concat(Enumerable.Repeat("It was the custom of the family to sit together in the evening. ", 60));

        Report.Title($"Memory of a server (model of 2.5 GB, dense weights {dense >> 20} MiB, one sequence)", "budget", "prefetch", "tokens held", "peak RSS, MiB", "of that not file pages, MiB", "budget + dense + KV, MiB", "peak / that", "bar", "");
        foreach (var percent in new[] { 25, 50, 100 })
        {
            foreach (var prefetch in percent == 100 ? new[] { "OnDemand" } : ["OnDemand", "Adaptive"])
            {
                var budget = experts * percent / 100;
                await using var server = await ServedDecode.StartAsync(null, model, "--threads", "2", "--expert-budget", budget.ToString(CultureInfo.InvariantCulture), "--prefetch", prefetch);
                await server.AnswerAsync(prompt, Tokens);
                var held = (long)await server.MetricAsync("vllm:prompt_tokens_total") + Tokens;
                var kv = held * LargeModel.Layers * 2 * LargeModel.KvHeads * LargeModel.HeadDim * sizeof(float);
                var (peak, anonymous) = server.Memory();
                var ratio = (double)peak / (budget + dense + kv);
                Report.Row($"{percent}%", prefetch, $"{held}", $"{peak >> 20}", $"{anonymous >> 20}", $"{(budget + dense + kv) >> 20}", ratio.ToString("F2", CultureInfo.InvariantCulture) + "x", "<= 1.15x", Report.AtMost(ratio, 1.15));
            }
        }
    }
}
