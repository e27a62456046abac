using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Training;

/// <summary>Held-out scores, as the documentation reports them, and on request some of the passages that were judged wrongly.</summary>
internal static class Evaluation
{
    private const int PerTemplate = 40;

    public static void Print(ClassifierModel model, NameBank bank, string dataFolder, int seed, int wrong)
    {
        var classifier = new BuiltInClassifier(model);
        var positives = Corpora.HeldOutPrivate(bank, PerTemplate, seed + 1);
        foreach (var group in positives.GroupBy(text => text.Labels.Min(label => label.Class)))
            Print($"held-out, {group.Key}", [.. group.Select(text => text.Text)]);
        Print("held-out, all private", [.. positives.Select(text => text.Text)]);
        Print("held-out, harmless templates", [.. Corpora.HeldOutPublic(bank, PerTemplate, seed + 2).Select(text => text.Text)]);
        Print("held-out, prose", [.. Corpora.Prose(dataFolder, Corpora.TrainingShare, 1)]);

        void Print(string what, IReadOnlyList<string> passages)
        {
            Console.WriteLine($"{what}: {Scores.Of(classifier, passages)}");
            var harmless = what.Contains("harmless", StringComparison.Ordinal) || what.Contains("prose", StringComparison.Ordinal);
            var missed = passages.Select(passage => (Passage: passage, Score: classifier.Score(passage))).Where(passage => harmless ? passage.Score.Probability > 0.7 : passage.Score.Probability <= 0.7);
            foreach (var (passage, score) in missed.Take(wrong))
                Console.WriteLine(FormattableString.Invariant($"  {score.Probability:F2} {passage.Trim()} | {string.Join(", ", score.Spans.Select(span => passage[span.Start..span.End]))}"));
        }
    }
}
