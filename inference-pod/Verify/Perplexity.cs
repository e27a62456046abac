using System.Numerics.Tensors;
using Moebius.Crds;
using Moebius.Inference.Experts;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Verify;

/// <summary>How well a model predicts a text; the property names are those of the JSON output.</summary>
/// <param name="Directory">The model.</param>
/// <param name="Architecture">Its <c>model_type</c>.</param>
/// <param name="Text">The text's file.</param>
/// <param name="Perplexity">The exponential of the mean negative log-likelihood of the scored tokens.</param>
/// <param name="NegativeLogLikelihood">That mean, in nats.</param>
/// <param name="Tokens">Tokens of the text.</param>
/// <param name="ScoredTokens">Tokens whose prediction counts.</param>
/// <param name="Window">Most tokens the model saw at once.</param>
/// <param name="Stride">Tokens from the beginning of a window to that of the next.</param>
/// <param name="Seconds">Time for the evaluation, without loading the model.</param>
/// <param name="ExpertBudgetBytes">Limit of the expert memory.</param>
/// <param name="ExpertHits">Expert uses that found the expert resident.</param>
/// <param name="ExpertMisses">Expert uses that waited for a load.</param>
/// <param name="Quantization">How experts were stored: none, int8 or int4.</param>
internal sealed record PerplexityResult(
    string Directory,
    string Architecture,
    string Text,
    double Perplexity,
    double NegativeLogLikelihood,
    int Tokens,
    int ScoredTokens,
    int Window,
    int Stride,
    double Seconds,
    long ExpertBudgetBytes,
    long ExpertHits,
    long ExpertMisses,
    string Quantization);

/// <summary>Measures perplexity over sliding windows.</summary>
internal static class PerplexityMeter
{
    private const int LargestDefaultWindow = 2048;

    /// <summary>Logits that are held at a time, 32 MiB: a whole window's would be gigabytes with a large vocabulary.</summary>
    private const int LogitsAtOnce = 8 << 20;

    private const int MostTokensAtOnce = 512;

    /// <param name="directory">The model.</param>
    /// <param name="textFile">UTF-8 text.</param>
    /// <param name="window">Null: the model's context, at most 2048.</param>
    /// <param name="stride">Null: half the window.</param>
    /// <param name="options">Budget and threads.</param>
    /// <param name="clock">Time.</param>
    /// <exception cref="UserInputException">A file or a number cannot be honoured; the message names it.</exception>
    public static PerplexityResult Measure(string directory, string textFile, int? window, int? stride, ModelLoadOptions options, TimeProvider clock)
    {
        // What is cheap to refuse first, before the weights are read.
        var vocabulary = Architectures.Describe(ModelConfig.Read(directory)).Vocabulary;
        var text = TraceRun.ReadText(textFile);
        int[] tokens = [.. Tokenizer.Load(directory).Encode(text, true, vocabulary, $"--text: {textFile}")];
        if (tokens.Length < 2)
            throw new UserInputException($"--text: {textFile} has {tokens.Length} tokens; at least 2 are needed to predict one from another");
        using var model = ModelLoader.Load(directory, options);
        var context = model.Info.ContextLength;
        var size = window ?? Math.Min(context, LargestDefaultWindow);
        if (size < 2 || size > context)
            throw new UserInputException($"--window is {size}; it must be from 2 to the model's context of {context}");
        var step = stride ?? Math.Max(1, size / 2);
        if (step < 1 || step > size)
            throw new UserInputException($"--stride is {step}; it must be from 1 to the window of {size}");

        var began = clock.GetTimestamp();
        double sum = 0;
        var scored = 0;
        using var kv = model.CreateSequence();
        foreach (var part in EvaluationWindows.Plan(tokens.Length, size, step))
        {
            sum += Score(model, kv, tokens, part);
            scored += part.End - part.Scored;
        }
        var mean = sum / scored;
        var experts = model.Experts;
        return new PerplexityResult(directory, model.Info.Architecture, textFile, Math.Exp(mean), mean, tokens.Length, scored, size, step,
            clock.GetElapsedTime(began).TotalSeconds, experts.BudgetBytes, experts.Hits, experts.Misses, options.Quantization.Name());
    }

    /// <summary>Sum of a window's negative log-likelihoods.</summary>
    private static double Score(ICausalModel model, ISequenceKv kv, int[] tokens, EvaluationWindow window)
    {
        kv.Truncate(0);
        var vocabulary = model.Info.VocabularySize;
        var limit = Math.Clamp(LogitsAtOnce / vocabulary, 1, MostTokensAtOnce);
        double sum = 0;
        // The last token predicts nothing inside the window. Logits of a token predict the one after it.
        for (var at = window.Begin; at < window.End - 1;)
        {
            var wanted = at >= window.Scored - 1;
            var until = wanted ? window.End - 1 : window.Scored - 1;
            var count = Math.Min(until - at, wanted ? limit : MostTokensAtOnce);
            var chunk = new SequenceChunk(kv, tokens.AsMemory(at, count), wanted ? LogitsFor.All : LogitsFor.None) { Prompt = window.End - 1 - window.Begin };
            var logits = model.Forward([chunk])[0];
            for (var i = 0; wanted && i < count; i++)
            {
                if (at + i + 1 >= window.Scored)
                    sum += NegativeLogLikelihood(logits.AsSpan(i * vocabulary, vocabulary), tokens[at + i + 1]);
            }
            at += count;
        }
        return sum;
    }

    /// <summary>Of one token, from the logits before it.</summary>
    internal static double NegativeLogLikelihood(ReadOnlySpan<float> logits, int token) =>
        LogSum(logits) - logits[token];

    /// <summary>The logarithm of the sum of the exponentials.</summary>
    internal static double LogSum(ReadOnlySpan<float> logits)
    {
        var max = TensorPrimitives.Max(logits);
        double sum = 0;
        foreach (var logit in logits)
            sum += Math.Exp((double)logit - max);
        return Math.Log(sum) + max;
    }
}
