using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Detection;

/// <summary>What all tiers find in a text.</summary>
/// <param name="Findings">In the order of their start.</param>
/// <param name="IsCleared">The upper tiers have read everything that is not declared, and every passage may be shared.</param>
internal sealed record TextReading(IReadOnlyList<Finding> Findings, bool IsCleared)
{
    /// <summary>Reads a whole text, as <c>policy test</c> does: nothing is left out because of an earlier finding.</summary>
    /// <param name="declared">Leading characters that are public by declaration; the tiers above the rules do not read them.</param>
    public static async Task<TextReading> ReadAsync(CompiledPolicy policy, string text, int declared, CancellationToken cancel)
    {
        var findings = new List<Finding>(policy.Detector.Scan(text));
        if (policy.Tiers.Classifier is not { } classifier)
            return new TextReading(findings, false);
        var passages = Passages.Of(text[declared..]).Select(passage => new Passage(passage.Start + declared, passage.End + declared, passage.IsClosed)).ToArray();
        var scores = classifier.Score([.. passages.Select(passage => text[passage.Start..passage.End])]);
        var cleared = true;
        for (var index = 0; index < passages.Length; index++)
        {
            var (passage, score) = (passages[index], scores[index]);
            switch (policy.Judge(score.Probability))
            {
                case PassageVerdict.Private:
                    findings.AddRange(Spans(passage, score, policy.Classifier.PrivateAbove));
                    break;
                case PassageVerdict.Open:
                    var before = text[Math.Max(0, passage.Start - Passages.MaxLength)..passage.Start];
                    var verdict = policy.Tiers.ContextCheck is { } check ? await check.IsPrivateAsync(default, before, text[passage.Start..passage.End], cancel) : null;
                    if (verdict is true)
                        findings.Add(new Finding(3, "Context", passage.Start, passage.End));
                    cleared &= verdict is false;
                    break;
            }
        }

        return new TextReading([.. findings.OrderBy(finding => finding.Start).ThenBy(finding => finding.Tier)], cleared);
    }

    private static IEnumerable<Finding> Spans(Passage passage, PassageScore score, double above)
    {
        var spans = score.Spans.Where(span => span.Probability > above).ToArray();
        return spans.Length == 0
            ? [new Finding(2, "Passage", passage.Start, passage.End)]
            : spans.Select(span => new Finding(2, span.Kind, passage.Start + span.Start, passage.Start + span.End));
    }
}
