using System.Diagnostics;
using System.Globalization;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;

namespace Moebius.Bench.KvCache.Detection;

/// <summary>One megabyte of text that is made to be slow to scan, beside one megabyte of prose.</summary>
internal static class HostileBench
{
    private const int Length = 1 << 20;
    private const int Repeats = 9;
    private const double Bar = 50;

    private static readonly (string Name, string Unit)[] Units =
    [
        ("digits", "1"), ("digits apart", "4 "), ("letters and at signs", "a@"), ("mixed token", "aA1-"), ("brackets", "(((("), ("announcements", "password "), ("number words", "one "),
        ("colons", "1:"), ("hex groups", "ab:"), ("streets", "rue A "), ("account starts", "DE89 "), ("URLs with passwords", "a://b:"), ("keys without an end", "-----BEGIN PRIVATE KEY "),
        ("dots", "1."), ("spelled mail", "a @ b . c "), ("dates", "born May "), ("ideographs", "中"), ("house numbers", "12 Aa "), ("nested JSON", "{\"a\":["), ("degrees", "48° "),
        ("zero-width", "a\u200B"), ("full-width digits", "\uFF14\uFF11 "), ("surrogates", "𝟒𝟏 "), ("tokens", "ghp_aaaaaaaaaaaa "), ("announced numbers", "passport no 12 "), ("alternating case", "aBaB1"),
    ];

    public static Task RunAsync() => Task.Run(Run);

    private static void Run()
    {
        var detector = Detector.Create(new RuleSpec(), "rules");
        var prose = File.ReadAllText(Path.Combine(RepositoryFiles.Root, "tests", "KvCache.Tests", "Data", "austen.txt"));
        var baseline = Fill(prose);
        Measure(detector, baseline);
        Report.Title($"Scanning 1 MB of hostile text with all built-in rules ({Repeats} repeats; milliseconds)", "text", "first scan", "later scans", "over prose", "bar", "");
        var usual = Spread.Of(Enumerable.Range(0, Repeats).Select(_ => Measure(detector, baseline)));
        Report.Row("prose", "", usual.Text("F1"), "1.0x", "", "");
        foreach (var (name, unit) in Units)
        {
            var text = Fill(unit);
            var first = Measure(detector, text);
            var later = Spread.Of(Enumerable.Range(0, Repeats).Select(_ => Measure(detector, text)));
            Report.Row(
                name, first.ToString("F1", CultureInfo.InvariantCulture), later.Text("F1"), (later.Median / usual.Median).ToString("F1", CultureInfo.InvariantCulture) + "x",
                "<= 50 ms", Report.AtMost(later.Median, Bar));
        }

        ShowOwnExpression();
    }

    /// <summary>What an expression of a policy's own costs is the policy's: linear, but of its own slope.</summary>
    private static void ShowOwnExpression()
    {
        var detector = Detector.Create(new RuleSpec { Disabled = [.. Enum.GetValues<SecretKind>()], Custom = [new CustomRule { Name = "greedy", Pattern = "(x+x+)+y" }] }, "rules");
        var text = Fill("x");
        Measure(detector, text);
        Report.Row("x, under the own expression (x+x+)+y", "", Spread.Of(Enumerable.Range(0, Repeats).Select(_ => Measure(detector, text))).Text("F1"), "", "", "");
    }

    private static string Fill(string unit) => string.Concat(Enumerable.Repeat(unit, (Length / unit.Length) + 1))[..Length];

    private static double Measure(Detector detector, string text)
    {
        var begun = Stopwatch.GetTimestamp();
        detector.Scan(text);
        return Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
    }
}
