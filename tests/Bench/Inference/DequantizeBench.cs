using System.Diagnostics;
using Moebius.Inference.Checkpoints;

namespace Moebius.Bench.Inference;

/// <summary>What it takes to make bf16 of an expert that is stored in fewer bits, beside a copy of the same expert in bf16: both from memory to memory.</summary>
internal static class DequantizeBench
{
    private const int Repeats = 15;

    public static void Run()
    {
        Report.Title($"An expert to bf16, one thread, memory to memory ({Repeats} repeats)", "expert", "stored, MB", "ms", "copy of bf16, ms", "ratio");
        Mxfp4Expert("gpt-oss, mxfp4", 2880, 2880);
        Fp8Expert("DeepSeek-V3, fp8", 7168, 2048);
    }

    private static void Mxfp4Expert(string name, int hidden, int intermediate)
    {
        var blocks = new byte[3 * hidden * intermediate / 2];
        new Random(1).NextBytes(blocks);
        byte[] scales = [.. Enumerable.Range(0, blocks.Length / Mxfp4.BlockBytes).Select(i => (byte)(116 + (i % 8)))];
        Measure(name, blocks.Length + scales.Length, 3 * hidden * intermediate, to => Mxfp4.ToBFloat16(blocks, scales, to));
    }

    private static void Fp8Expert(string name, int hidden, int intermediate)
    {
        var codes = new byte[3 * hidden * intermediate];
        new Random(2).NextBytes(codes);
        Measure(name, codes.Length, codes.Length, to =>
        {
            for (var at = 0; at < codes.Length; at += 128)
                Fp8.ToBFloat16(codes.AsSpan(at, 128), 2e-4f, to.AsSpan(at, 128));
        });
    }

    private static void Measure(string name, long stored, int weights, Action<ushort[]> dequantize)
    {
        ushort[] plain = new ushort[weights], to = new ushort[weights];
        for (var warm = 0; warm < 5; warm++)
        {
            dequantize(to);
            plain.CopyTo(to, 0);
        }
        Thread.Sleep(200);
        var own = new List<double>();
        var copies = new List<double>();
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            own.Add(Time(() => dequantize(to)));
            copies.Add(Time(() => plain.CopyTo(to, 0)));
        }
        Report.Row(name, (stored / 1e6).ToString("F1", System.Globalization.CultureInfo.InvariantCulture), Spread.Of(own).Text("F1"), Spread.Of(copies).Text("F1"), Spread.Of(own.Zip(copies, (a, b) => a / b)).Text("F1", "x"));
    }

    private static double Time(Action action)
    {
        var begun = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
    }
}
