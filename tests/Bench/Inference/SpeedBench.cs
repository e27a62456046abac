using System.Diagnostics;
using System.Runtime.Intrinsics;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>Prefill and decode with all experts resident against llama.cpp on the same bf16 weights, turn by turn.</summary>
internal static class SpeedBench
{
    private const int Threads = 2;
    private const int Prompt = 512;
    private const int BatchPrompt = 16;
    private static readonly int[] Batches = [1, 4, 16];

    public static Task LargeAsync() => CompareAsync("2.5 GB model", LargeModel.Ensure(), repeats: 3, output: 24);

    /// <summary>So small that it measures what a step costs beside its products.</summary>
    public static Task SmallAsync() =>
        CompareAsync("demonstration model", Path.Combine(RepositoryFiles.Root, "samples", "models", "austen-moe"), repeats: 5, output: 128);

    private static async Task CompareAsync(string name, string directory, int repeats, int output)
    {
        var llama = await LlamaPeer.EnsureAsync();
        var gguf = GgufModel.Ensure(directory);
        Report.Line("");
        Report.Line($"llama.cpp {llama.Version}: llama-bench -t {Threads} -p {Prompt} -n {output} -r 1; llama-batched-bench -t {Threads} -npp {BatchPrompt} -ntg {output} -npl {string.Join(',', Batches)}.");
        using var own = new OwnModel(directory, new ModelLoadOptions { Threads = Threads });
        WarmUp(own);
        string[] figures = ["prefill of 512", "decode, nothing before", .. Batches.Select(batch => $"decode, batch {batch}")];
        var ours = figures.Select(_ => new List<double>()).ToArray();
        var theirs = figures.Select(_ => new List<double>()).ToArray();
        var bandwidth = new List<double>();
        for (var repeat = 0; repeat < repeats; repeat++)
        {
            var begun = Stopwatch.GetTimestamp();
            var (prefill, decode) = await llama.BenchAsync(gguf, Threads, Prompt, output);
            var batched = await llama.BatchedAsync(gguf, Threads, BatchPrompt, output, Batches);
            double[] their = [prefill, decode, .. batched];
            double[] our = [own.Prefill(Prompt), own.Decode(1, 0, output), .. Batches.Select(batch => own.Decode(batch, BatchPrompt, output))];
            for (var i = 0; i < figures.Length; i++)
            {
                ours[i].Add(our[i]);
                theirs[i].Add(their[i]);
            }
            bandwidth.Add(ReadBandwidth());
            await Console.Error.WriteLineAsync(
                $"{name}: repeat {repeat + 1} of {repeats} took {Stopwatch.GetElapsedTime(begun).TotalSeconds:F0} s; this {string.Join(' ', our.Select(speed => $"{speed:F0}"))}, llama.cpp {string.Join(' ', their.Select(speed => $"{speed:F0}"))}");
        }

        Report.Title($"{name}, bf16, {Threads} threads, all experts resident ({repeats} repeats; tokens/s)", "", "this", "llama.cpp", "ratio", "bar", "");
        for (var i = 0; i < figures.Length; i++)
        {
            var ratio = Spread.Of(ours[i].Zip(theirs[i], static (our, their) => our / their));
            var bar = figures[i].StartsWith("decode", StringComparison.Ordinal);
            Report.Row(figures[i], Spread.Of(ours[i]).Text("F0"), Spread.Of(theirs[i]).Text("F0"), ratio.Text("F2", "x"), bar ? ">= 1.00x" : "", bar ? Report.AtLeast(ratio.Median, 1) : "");
        }
        Report.Line("");
        Report.Line($"Memory read by {Threads} threads at the same time (sum of 512 MiB): {Spread.Of(bandwidth).Text("F1")} GB/s.");
    }

    /// <summary>So that the compiler is done with everything that is timed.</summary>
    private static void WarmUp(OwnModel own)
    {
        for (var i = 0; i < 2; i++)
            own.Prefill(64);
        foreach (var batch in Batches)
            own.Decode(batch, BatchPrompt, 8);
        Thread.Sleep(300);
        foreach (var batch in Batches)
            own.Decode(batch, BatchPrompt, 8);
    }

    /// <summary>Bytes per second that the threads can read: what bounds decode, whoever computes it.</summary>
    private static unsafe double ReadBandwidth()
    {
        const long Bytes = 512L << 20;
        var memory = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)Bytes, 2 << 20);
        for (long i = 0; i < Bytes; i += 4096)
            memory[i] = 1;
        double best = 0;
        for (var repeat = 0; repeat < 3; repeat++)
        {
            var begun = Stopwatch.GetTimestamp();
            Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, thread =>
            {
                var from = memory + (thread * (Bytes / Threads));
                Vector512<long> a = default, b = default, c = default, d = default;
                for (long i = 0; i < Bytes / Threads; i += 256)
                {
                    a += Vector512.Load((long*)(from + i));
                    b += Vector512.Load((long*)(from + i + 64));
                    c += Vector512.Load((long*)(from + i + 128));
                    d += Vector512.Load((long*)(from + i + 192));
                }
                GC.KeepAlive(Vector512.Sum(a + b + c + d));
            });
            best = Math.Max(best, Bytes / Stopwatch.GetElapsedTime(begun).TotalSeconds / 1e9);
        }
        System.Runtime.InteropServices.NativeMemory.AlignedFree(memory);
        return best;
    }
}
