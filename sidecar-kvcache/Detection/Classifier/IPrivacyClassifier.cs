namespace Moebius.KvCache.Detection.Classifier;

/// <summary>Part of a passage that a classifier takes for private.</summary>
/// <param name="Kind">What it is taken for, such as Name.</param>
/// <param name="Start">First character (UTF-16) within the passage.</param>
/// <param name="End">Last character, exclusive.</param>
/// <param name="Probability">That it is private, 0 to 1.</param>
internal readonly record struct ScoredSpan(string Kind, int Start, int End, double Probability);

/// <summary>What a classifier says about one passage.</summary>
/// <param name="Probability">That anything in the passage is private, 0 to 1; at least that of every span.</param>
/// <param name="Spans">Where, in order; empty when nothing stands out or the classifier judges passages as a whole.</param>
internal sealed record PassageScore(double Probability, IReadOnlyList<ScoredSpan> Spans)
{
    /// <summary>The probability of what a classifier cannot read: it has nothing to say about that.</summary>
    public const double Unknown = 0.5;

    public static PassageScore Harmless { get; } = new(0, []);
}

/// <summary>
/// Tier 2 (SafeKV, arXiv 2508.08438, section 4.1): a small classifier of what the rules let through. Called in batches,
/// beside the requests, by one thread at a time.
/// </summary>
internal interface IPrivacyClassifier
{
    /// <summary>Tells models apart: a SHA-256 in hexadecimal of what was loaded; empty: it is part of the program.</summary>
    string Digest { get; }

    /// <summary>One score for each passage, in their order.</summary>
    IReadOnlyList<PassageScore> Score(IReadOnlyList<string> passages);
}
