using System.Diagnostics;
using System.Globalization;
using Moebius.Inference.Engine;

namespace Moebius.Bench.Inference;

/// <summary>One choice of a token, beside a draw from all tokens in order: what a sampler costs that sorts.</summary>
internal static class SamplingBench
{
    private const int Repeats = 5;

    private static readonly int[] Vocabularies = [4096, 32_000, 151_936];

    private static readonly (string Name, SamplingSettings Settings)[] Samplings =
    [
        ("greedy", new SamplingSettings { Temperature = 0 }),
        ("temperature 0.8", new SamplingSettings { Temperature = 0.8, Seed = 1 }),
        ("temperature 0.8, top-p 0.95", new SamplingSettings { Temperature = 0.8, TopP = 0.95, Seed = 1 }),
        ("temperature 0.8, top-k 40", new SamplingSettings { Temperature = 0.8, TopK = 40, Seed = 1 }),
        ("temperature 0.8, top-k 1000", new SamplingSettings { Temperature = 0.8, TopK = 1000, Seed = 1 }),
    ];

    public static void Run()
    {
        Report.Title($"Choosing a token, one thread ({Repeats} repeats; logits of a normal distribution with deviation 2.5)", "vocabulary", "sampling", "us", "sorting all, us", "ratio");
        foreach (var vocabulary in Vocabularies)
        {
            var logits = Logits(vocabulary);
            var draws = 20_000_000 / vocabulary;
            foreach (var (name, settings) in Samplings)
            {
                var sampler = new Sampler(settings, []);
                var row = new float[vocabulary];
                Time(draws / 4, Draw);
                Time(draws / 40, Sort);
                Thread.Sleep(150);
                var own = new List<double>();
                var sorted = new List<double>();
                for (var repeat = 0; repeat < Repeats; repeat++)
                {
                    own.Add(Time(draws, Draw));
                    sorted.Add(Time(draws / 40 + 1, Sort));
                }
                Report.Row(vocabulary.ToString(CultureInfo.InvariantCulture), name, Spread.Of(own).Text("F1"), Spread.Of(sorted).Text("F0"), Spread.Of(sorted.Zip(own, (a, b) => a / b)).Text("F0", "x"));

                void Draw()
                {
                    logits.CopyTo(row, 0);
                    sampler.Next(row);
                }
                void Sort()
                {
                    int[] order = [.. Enumerable.Range(0, vocabulary)];
                    Array.Sort([.. logits.Select(logit => -logit)], order);
                }
            }
        }
    }

    private static double Time(int times, Action action)
    {
        var begun = Stopwatch.GetTimestamp();
        for (var i = 0; i < times; i++)
            action();
        return Stopwatch.GetElapsedTime(begun).TotalMicroseconds / times;
    }

    private static float[] Logits(int count)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(2.5 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }
}
