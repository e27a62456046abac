using System.Globalization;
using Bogus;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;

namespace Moebius.Bench.KvCache.Detection;

/// <summary>How many structured secrets tier 1 finds, plain and disguised, and how much of ordinary text it takes for secret.</summary>
internal static class RecallBench
{
    private const int Samples = 20_000;
    private const int Block = 64;

    /// <summary>The rules were mended after looking at samples of seed 99; another seed gives samples that nobody has looked at.</summary>
    private static int Seed => Setting.Number("MOEBIUS_BENCH_SEED", 99);

    /// <summary>Set to show samples that were missed.</summary>
    private static int Show => Setting.Number("MOEBIUS_BENCH_SHOW_MISSED", 0);

    public static Task RunAsync() => Task.Run(Run);

    private static void Run()
    {
        var detector = Detector.Create(new RuleSpec(), "rules");
        var source = new SecretSource(Seed);
        var samples = source.Take(Samples).ToArray();
        Report.Title($"Recall on structured secrets ({Samples} samples of Bogus in {SecretSource.Locales.Length} locales, seed {Seed})", "kind", "samples", "found", "bar", "");
        var (found, total) = (0, 0);
        foreach (var kind in samples.GroupBy(sample => sample.Kind))
            Count(kind.Key, [.. kind.Select(sample => source.Fill(sample.Sentence, sample.Secret))]);
        Row("all", found, total);

        Report.Title("Recall on the same secrets in disguise", "disguise", "samples", "found", "bar", "");
        (found, total) = (0, 0);
        var random = new Randomizer(Seed);
        for (var disguise = 0; disguise < Disguise.Names.Length; disguise++)
        {
            var hidden = samples.Select(sample => (sample, Secret: Disguise.Apply(disguise, sample.Kind, sample.Secret, random))).Where(pair => pair.Secret is not null);
            Count(Disguise.Names[disguise], [.. hidden.Select(pair => source.Fill(pair.sample.Sentence, pair.Secret!))]);
        }

        Row("all", found, total);
        Harmless(detector);

        void Count(string what, string[] texts)
        {
            var missed = texts.Where(text => detector.Scan(text).Count == 0).ToArray();
            found += texts.Length - missed.Length;
            total += texts.Length;
            Row(what, texts.Length - missed.Length, texts.Length);
            foreach (var text in missed.Take(Show))
                Report.Line($"    missed: {text}");
        }

        static void Row(string what, int found, int total)
        {
            var share = 100.0 * found / total;
            Report.Row(what, total.ToString(CultureInfo.InvariantCulture), share.ToString("F2", CultureInfo.InvariantCulture) + "%", what == "all" ? ">= 99%" : "", what == "all" ? Report.AtLeast(share, 99) : "");
        }
    }

    private static void Harmless(Detector detector)
    {
        Report.Title($"False alarms on ordinary text (blocks of {Block} characters)", "text", "blocks", "touched", "bar", "");
        foreach (var (name, text) in HarmlessTexts.All())
        {
            var findings = detector.Scan(text);
            var touched = findings.SelectMany(finding => Enumerable.Range(finding.Start / Block, ((finding.End - 1) / Block) - (finding.Start / Block) + 1)).Distinct().Count();
            var share = 100.0 * touched / Math.Max(1, text.Length / Block);
            Report.Row(name, (text.Length / Block).ToString(CultureInfo.InvariantCulture), share.ToString("F2", CultureInfo.InvariantCulture) + "%", "<= 2%", Report.AtMost(share, 2));
            foreach (var finding in findings.Take(Show))
                Report.Line($"    {finding.Kind}: {text[finding.Start..finding.End].ReplaceLineEndings(" ")}");
        }
    }
}
