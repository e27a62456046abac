using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>
/// Decoding the 2.5 GB model in a control group of 900 MB, page cache included and dropped before: a real server that
/// reads experts past the page cache, the same server with a memory map of the safetensors, and llama.cpp with its
/// memory map of the same weights. All read random tokens, since a model with random weights left to itself repeats a few
/// tokens, whose experts soon lie in memory. Beside them what the device gives.
/// </summary>
internal static class MemoryLimitBench
{
    private const long LimitBytes = 900_000_000;
    private const string Budget = "640Mi";
    private const int Repeats = 2;
    private const int Tokens = 10;
    private const int AtOnce = 8;
    private const int MappedTokens = 3;
    private const int LlamaTokens = 8;
    private const string Prompt = "It was the custom of the family";

    private static readonly (string Name, int Tokens, string[] Arguments)[] Modes =
    [
        ("on demand, direct I/O", Tokens, []),
        ("on demand, direct I/O, 8 readers", Tokens, ["--readers", "8"]),
        ("Adaptive, direct I/O, 8 readers", Tokens, ["--readers", "8", "--prefetch", "Adaptive"]),
        ("on demand, memory map", MappedTokens, ["--slow-tier", "MemoryMap"]),
    ];

    public static async Task RunAsync()
    {
        var model = BenchModels.Large();
        var pack = Directory.GetFiles(model, "experts-bf16.moebius").Single();
        var expert = ExpertBytes(model);
        var peer = await LlamaPeer.EnsureAsync();
        var gguf = GgufModel.Ensure(LargeModel.Ensure());
        var speeds = Modes.Select(_ => new List<double>()).ToArray();
        var loaded = Modes.Select(_ => new List<double>()).ToArray();
        var peaks = Modes.Select(_ => new List<double>()).ToArray();
        var llama = new List<double>();
        var disk = new List<double>();
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            disk.Add(DiskBandwidth.Measure(pack, expert, AtOnce, seconds: 2));
            for (var mode = 0; mode < Modes.Length; mode++)
            {
                MemoryLimit.DropPageCache();
                using var limit = new MemoryLimit(LimitBytes);
                await using var server = await ServedDecode.StartAsync(limit, model, ["--threads", "2", "--expert-budget", Budget, .. Modes[mode].Arguments]);
                await server.AnswerAsync(Prompt, Modes[mode].Tokens, randomSeed: 1);
                var before = await server.MetricAsync("moebius_expert_loaded_bytes_total");
                var first = await server.AnswerAsync(Prompt, 1, randomSeed: 2);
                var between = await server.MetricAsync("moebius_expert_loaded_bytes_total");
                var all = await server.AnswerAsync(Prompt, Modes[mode].Tokens + 1, randomSeed: 2);
                var after = await server.MetricAsync("moebius_expert_loaded_bytes_total");
                speeds[mode].Add(Modes[mode].Tokens / (all - first));
                // Both answers load for the prompt and the first token; the rest is of the tokens between.
                loaded[mode].Add((after - between - (between - before)) / Modes[mode].Tokens);
                peaks[mode].Add(limit.Peak / 1e6);
                await Console.Error.WriteLineAsync($"memory-limit: repeat {repeat + 1}: {Modes[mode].Name}: {speeds[mode][^1]:F2} tokens/s");
            }
            llama.Add(await peer.LimitedAsync(gguf, LimitBytes, LlamaTokens));
            await Console.Error.WriteLineAsync($"memory-limit: repeat {repeat + 1}: llama.cpp: {llama[^1]:F2} tokens/s");
        }

        Report.Title($"Decoding the model of 2.5 GB within {LimitBytes / 1_000_000} MB ({Repeats} repeats, one sequence, expert budget {Budget})", "server", "tokens/s", "MB loaded a token", "MB at most in the group", "of what the device allows");
        for (var mode = 0; mode < Modes.Length; mode++)
        {
            var at = mode;
            Report.Row(Modes[mode].Name, Spread.Of(speeds[mode]).Text("F2"), Spread.Of(loaded[mode].Select(b => b / 1e6)).Text("F0"), Spread.Of(peaks[mode]).Text("F0"),
                Spread.Of(Enumerable.Range(0, Repeats).Select(r => 100 * speeds[at][r] * loaded[at][r] / disk[r])).Text("F0", "%"));
        }
        Report.Row($"llama.cpp {peer.Version}, memory map", Spread.Of(llama).Text("F2"), "", "", "");
        Report.Line("");
        Report.Line($"The device gives {Spread.Of(disk.Select(d => d / 1e6)).Text("F0", " MB/s")} to {AtOnce} direct reads of {expert} bytes at a time; what it allows is that over the bytes loaded a token, with computing hidden entirely.");
        foreach (var mode in new[] { 0, 1, 2 })
        {
            var ratio = Spread.Of(speeds[mode].Zip(llama, (own, other) => own / other));
            Report.Line($"Bar: at least 8x llama.cpp: {Modes[mode].Name}: {ratio.Text("F1", "x")}, {Report.AtLeast(ratio.Median, 8)}.");
        }
    }

    private static long ExpertBytes(string model)
    {
        using var loaded = ModelLoader.Load(model, new ModelLoadOptions { Threads = 1, ExpertBudgetBytes = 64 << 20 });
        return loaded.Info.ExpertBytes / loaded.Info.ExpertCount;
    }
}
