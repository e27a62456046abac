using System.Diagnostics;
using System.Globalization;
using Moebius.KvCache.Detection.Classifier.BuiltIn;
using Moebius.KvCache.Training;

namespace Moebius.Bench.KvCache.Detection;

/// <summary>The built-in classifier on text that it was not trained on: other templates, names and locales, other pages.</summary>
internal static class ClassifierBench
{
    private const int Seed = 20250812;
    private const int PerTemplate = 40;

    public static Task RunAsync() => Task.Run(Run);

    private static void Run()
    {
        var classifier = new BuiltInClassifier(ClassifierModel.Load());
        var bank = new NameBank(Seed);
        Report.Title("Built-in classifier, held out (thresholds 0.3 and 0.7)", "text", "passages", "private", "open", "public", "bar", "");
        var texts = Corpora.HeldOutPrivate(bank, PerTemplate, Seed + 1);
        foreach (var group in texts.GroupBy(text => text.Labels.Min(label => label.Class)).OrderBy(group => group.Key))
            Row(group.Key.ToString(), [.. group.Select(text => text.Text)], group.Key == WordClass.Statement ? null : true);
        Row("harmless templates", [.. Corpora.HeldOutPublic(bank, PerTemplate, Seed + 2).Select(text => text.Text)], false);
        var prose = Corpora.Prose(Path.Combine(RepositoryFiles.Root, "tests", "KvCache.Tests", "Data"), Corpora.TrainingShare, 1).ToArray();
        Row("prose", prose, false);
        var characters = prose.Sum(passage => (long)passage.Length);
        var begun = Stopwatch.GetTimestamp();
        classifier.Score(prose);
        Report.Line("");
        Report.Line(string.Create(CultureInfo.InvariantCulture, $"Speed on the prose, one thread: {characters / Stopwatch.GetElapsedTime(begun).TotalSeconds / 1e6:F1} million characters a second."));

        void Row(string what, IReadOnlyList<string> passages, bool? isPrivate)
        {
            var scores = Scores.Of(classifier, passages);
            Report.Row(
                what, scores.Count.ToString(CultureInfo.InvariantCulture), Percent(scores.Private), Percent(scores.Open), Percent(scores.Public),
                isPrivate switch { true => "private >= 90%", false => "private <= 10%", null => "" },
                isPrivate switch { true => Report.AtLeast(scores.Private, 0.9), false => Report.AtMost(scores.Private, 0.1), null => "" });
        }
    }

    private static string Percent(double share) => (100 * share).ToString("F1", CultureInfo.InvariantCulture) + "%";
}
