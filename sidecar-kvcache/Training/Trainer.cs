using Moebius.KvCache.Detection.Classifier.BuiltIn;

namespace Moebius.KvCache.Training;

/// <summary>Multinomial logistic regression over hashed features: stochastic gradients with AdaGrad, then eight-bit weights.</summary>
internal static class Trainer
{
    private const int Rows = 1 << 17;
    private const int Epochs = 4;
    private const float Rate = 0.15f;
    private const float Decay = 2e-6f;

    /// <summary>How much a private word counts beside a harmless one: a miss leaks, a false alarm only costs time.</summary>
    private const float PrivateWeight = 1.2f;

    public static ClassifierModel Train(IReadOnlyList<LabelledText> texts, Lexicon lexicon, int seed)
    {
        var weights = new float[Rows * ClassifierModel.Classes];
        var squares = new float[weights.Length];
        var buffer = new ulong[WordFeatures.Max];
        var forget = 0UL;
        var prepared = texts.Select(text => (Words: Words.Of(text.Text), text.Labels)).Where(text => text.Words.Count > 0)
            .Select(text => (Features: new WordFeatures(text.Words, lexicon, ++forget), Classes: Classes(text.Words, text.Labels))).ToArray();
        var random = new Random(seed);
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            random.Shuffle(prepared);
            foreach (var (features, classes) in prepared)
            {
                for (var word = 0; word < classes.Length; word++)
                    Step(weights, squares, buffer.AsSpan(0, features.Of(word, buffer)), classes[word]);
            }
        }

        return Quantise(weights, lexicon);
    }

    /// <summary>The class of each word: that of the label which covers it.</summary>
    public static WordClass[] Classes(List<Word> words, IReadOnlyList<Label> labels) =>
        [.. words.Select(word => labels.FirstOrDefault(label => word.Start < label.End && word.End > label.Start).Class)];

    private static void Step(float[] weights, float[] squares, ReadOnlySpan<ulong> features, WordClass truth)
    {
        Span<float> scores = stackalloc float[ClassifierModel.Classes];
        scores.Clear();
        foreach (var feature in features)
        {
            var row = (int)(feature % Rows) * ClassifierModel.Classes;
            for (var index = 0; index < ClassifierModel.Classes; index++)
                scores[index] += weights[row + index];
        }

        var (most, total) = (Math.Max(Math.Max(scores[0], scores[1]), Math.Max(scores[2], scores[3])), 0f);
        for (var index = 0; index < ClassifierModel.Classes; index++)
            total += scores[index] = MathF.Exp(scores[index] - most);
        var weight = truth == WordClass.None ? 1f : PrivateWeight;
        for (var index = 0; index < ClassifierModel.Classes; index++)
            scores[index] = weight * ((scores[index] / total) - (index == (int)truth ? 1f : 0f));
        foreach (var feature in features)
        {
            var row = (int)(feature % Rows) * ClassifierModel.Classes;
            for (var index = 0; index < ClassifierModel.Classes; index++)
            {
                var gradient = scores[index] + (Decay * weights[row + index]);
                squares[row + index] += gradient * gradient;
                weights[row + index] -= Rate * gradient / MathF.Sqrt(squares[row + index] + 1e-2f);
            }
        }
    }

    private static ClassifierModel Quantise(float[] weights, Lexicon lexicon)
    {
        // The few largest weights are cut off: finer steps for all others are worth more.
        var sorted = weights.Select(MathF.Abs).Order().ToArray();
        var scale = sorted[(int)(sorted.Length * 0.9995)] / sbyte.MaxValue;
        return new ClassifierModel(lexicon, scale, [.. weights.Select(weight => (sbyte)Math.Clamp(MathF.Round(weight / scale), -sbyte.MaxValue, sbyte.MaxValue))]);
    }
}
