using Moebius.KvCache.Detection.Classifier;

namespace Moebius.KvCache.Training;

/// <summary>How a classifier does on passages whose truth is known.</summary>
/// <param name="Private">Share of them judged private.</param>
/// <param name="Open">Share left to the next tier.</param>
/// <param name="Public">Share judged public.</param>
/// <param name="Count">Passages.</param>
internal sealed record Scores(double Private, double Open, double Public, int Count)
{
    private const double PublicBelow = 0.3;
    private const double PrivateAbove = 0.7;

    public static Scores Of(IPrivacyClassifier classifier, IReadOnlyList<string> passages)
    {
        var scores = classifier.Score(passages);
        return new Scores(
            scores.Count(score => score.Probability > PrivateAbove) / (double)passages.Count,
            scores.Count(score => score.Probability is >= PublicBelow and <= PrivateAbove) / (double)passages.Count,
            scores.Count(score => score.Probability < PublicBelow) / (double)passages.Count,
            passages.Count);
    }

    public override string ToString() => FormattableString.Invariant($"private {Private:P1}, open {Open:P1}, public {Public:P1} ({Count} passages)");
}
