namespace Moebius.KvCache.Detection.Classifier.BuiltIn;

/// <summary>
/// The small model that ships with the program: names, addresses and personal statements, word by word, from hashed
/// features of the word and its neighbours. Trained on generated text (docs/kv-privacy.md says how, and how well it does).
/// </summary>
internal sealed class BuiltInClassifier(ClassifierModel model) : IPrivacyClassifier
{
    /// <summary>Words with a lower probability are no part of a span.</summary>
    private const double LeastInSpan = 0.3;

    /// <summary>Given to what looks like somebody's full name.</summary>
    private const double FullName = 0.8;

    private const int LeastWordsToKnow = 4;

    public string Digest => "";

    public IReadOnlyList<PassageScore> Score(IReadOnlyList<string> passages) => [.. passages.Select(Score)];

    public PassageScore Score(string passage)
    {
        var words = Words.Of(passage);
        var isUnreadable = Unreadable.Has(passage, isFolded: true);
        // Of signs alone the model knows nothing, unless they stand for something else.
        if (!isUnreadable && words.TrueForAll(static word => word is { IsSign: true, Text: not "\uFFFD" }))
            return PassageScore.Harmless;
        var features = new WordFeatures(words, model.Lexicon);
        Span<ulong> buffer = stackalloc ulong[WordFeatures.Max];
        Span<double> probabilities = stackalloc double[ClassifierModel.Classes];
        var spans = new List<ScoredSpan>();
        var most = 0d;
        for (var index = 0; index < words.Count; index++)
        {
            model.Score(buffer[..features.Of(index, buffer)], probabilities);
            var privately = 1 - probabilities[0];
            // What the model is sure of keeps its kind: two capitalised words may also be a street.
            if (privately < FullName && (features.IsFullName(index) || (index > 0 && features.IsFullName(index - 1))))
                (privately, probabilities[(int)WordClass.Name]) = (FullName, 1);
            most = Math.Max(most, privately);
            if (privately < LeastInSpan)
                continue;
            var kind = Kind(probabilities);
            if (spans is [.., var last] && last.Kind == kind && words[index - 1].End == last.End)
                spans[^1] = last with { End = words[index].End, Probability = Math.Max(last.Probability, privately) };
            else
                spans.Add(new ScoredSpan(kind, words[index].Start, words[index].End, privately));
        }

        if (most < PassageScore.Unknown && (isUnreadable || (features.Letters >= LeastWordsToKnow && features.Known * 3 < features.Letters)))
            most = PassageScore.Unknown;
        return new PassageScore(most, spans);
    }

    private static string Kind(ReadOnlySpan<double> probabilities)
    {
        var best = WordClass.Name;
        for (var candidate = WordClass.Address; (int)candidate < ClassifierModel.Classes; candidate++)
        {
            if (probabilities[(int)candidate] > probabilities[(int)best])
                best = candidate;
        }

        return best.ToString();
    }
}
