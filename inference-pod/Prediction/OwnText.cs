using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Prediction;

/// <summary>
/// Lets a model write, drawing every token by its probability: text that is like the model's own answers, of which there is as much as
/// one likes. A predictor goes on getting better with what it learns from, long after a text of a user has ended.
/// </summary>
internal static class OwnText
{
    /// <summary>Sequences that are written at once.</summary>
    private const int AtOnce = 16;

    /// <param name="directory">The model.</param>
    /// <param name="tokens">Tokens to write, 1 or more; up to fifteen more, and the beginnings, come on top.</param>
    /// <param name="seed">The same seed gives the same text.</param>
    /// <param name="options">How to load the model.</param>
    /// <returns>Token ids, sequence by sequence.</returns>
    public static IReadOnlyList<int[]> Write(string directory, int tokens, int seed, ModelLoadOptions options)
    {
        using var model = ModelLoader.Load(directory, options);
        var start = Tokenizer.Load(directory).Encode("", true, model.Info.VocabularySize, $"{directory}: what tokenizer.json puts around every text");
        var random = new Random(seed);
        var done = new List<int[]>();
        var open = new List<Sequence>();
        for (var written = 0; written < tokens; written += open.Count)
        {
            foreach (var ended in open.Where(sequence => sequence.IsOver).ToList())
            {
                done.Add([.. ended.Tokens]);
                ended.Dispose();
                open.Remove(ended);
            }

            while (open.Count < AtOnce)
                open.Add(new Sequence(model, [.. start, random.Next(model.Info.VocabularySize)], random.NextInt64()));
            var logits = model.Forward([.. open.Select(sequence => sequence.NextChunk())]);
            for (var at = 0; at < open.Count; at++)
                open[at].Append(logits[at]);
            model.Return(logits);
        }

        foreach (var cut in open)
        {
            done.Add([.. cut.Tokens]);
            cut.Dispose();
        }

        return done;
    }

    private sealed class Sequence(ICausalModel model, List<int> start, long seed) : IDisposable
    {
        private readonly ISequenceKv _kv = model.CreateSequence();
        private readonly Sampler _sampler = new(new SamplingSettings { Temperature = 1, Seed = seed }, []);
        private int _computed;

        public List<int> Tokens { get; } = start;

        public void Dispose() => _kv.Dispose();

        public SequenceChunk NextChunk()
        {
            var chunk = new SequenceChunk(_kv, Tokens[_computed..].ToArray(), LogitsFor.Last);
            _computed = Tokens.Count;
            return chunk;
        }

        /// <summary>Whether it has ended, or is as long as a trace reads at once.</summary>
        public bool IsOver => model.Info.EndOfSequence.Contains(Tokens[^1]) || Tokens.Count >= Math.Min(TraceRun.WindowTokens, model.Info.ContextLength);

        /// <summary>Draws the next token.</summary>
        public void Append(float[] logits) => Tokens.Add(_sampler.Next(logits).Chosen.Token);
    }
}
