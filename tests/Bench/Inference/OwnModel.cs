using System.Diagnostics;
using Moebius.Inference.Kernels;
using Moebius.Inference.Models;

namespace Moebius.Bench.Inference;

/// <summary>This project's side of the speed comparison: steps of a loaded model on random tokens, like llama.cpp's.</summary>
internal sealed class OwnModel(string directory, ModelLoadOptions options) : IDisposable
{
    private readonly ICausalModel _model = ModelLoader.Load(directory, options);
    private readonly Random _random = new(1);

    public ICausalModel Model => _model;

    /// <summary>Where the time of the steps goes; null: not measured.</summary>
    public StepProfile? Profile
    {
        set => ((Decoder)_model).Profile = value;
    }

    /// <summary>Tokens per second of a prompt in one step, with the logits of its last token.</summary>
    public double Prefill(int tokens)
    {
        using var kv = _model.CreateSequence();
        var begun = Stopwatch.GetTimestamp();
        _model.Forward([new SequenceChunk(kv, Tokens(tokens), LogitsFor.Last)]);
        return tokens / Stopwatch.GetElapsedTime(begun).TotalSeconds;
    }

    /// <summary>Tokens per second, all sequences together, one token of each a step, after a prompt that is not timed.</summary>
    public double Decode(int sequences, int prompt, int output)
    {
        var kvs = Enumerable.Range(0, sequences).Select(_ => _model.CreateSequence()).ToList();
        try
        {
            if (prompt > 0)
                _model.Forward([.. kvs.Select(kv => new SequenceChunk(kv, Tokens(prompt), LogitsFor.Last))]);
            var begun = Stopwatch.GetTimestamp();
            for (var step = 0; step < output; step++)
                _model.Forward([.. kvs.Select(kv => new SequenceChunk(kv, Tokens(1), LogitsFor.Last))]);
            return sequences * output / Stopwatch.GetElapsedTime(begun).TotalSeconds;
        }
        finally
        {
            foreach (var kv in kvs)
                kv.Dispose();
        }
    }

    public void Dispose() => _model.Dispose();

    private int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => _random.Next(_model.Info.VocabularySize))];
}
