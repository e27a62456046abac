using System.Diagnostics;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Bench.Inference;

/// <summary>What decoding took.</summary>
/// <param name="Seconds">All of it.</param>
/// <param name="Tokens">Tokens measured.</param>
/// <param name="Experts">The expert store's counters of the time.</param>
/// <param name="Output">The likeliest token after each.</param>
internal sealed record DecodeResult(double Seconds, int Tokens, ExpertStatistics Experts, int[] Output)
{
    public double TokensPerSecond => Tokens / Seconds;

    /// <summary>Seconds that compute waited for experts, a token.</summary>
    public double Stall => Experts.StallSeconds / Tokens;

    /// <summary>What the policy was told meanwhile; null on demand.</summary>
    public StallParts? Parts { get; init; }

    public double HitRate => (double)Experts.Hits / (Experts.Hits + Experts.Misses);
}

/// <summary>
/// A model that reads one sequence token by token, as decoding does, in this process, with reads past the page cache.
/// The tokens are given: a small model left to itself soon repeats itself, and its routing with it.
/// </summary>
/// <param name="Directory">The model, packed.</param>
/// <param name="Script">The tokens; as many as are prefilled, warm and measured.</param>
/// <param name="Prompt">Tokens that are prefilled.</param>
/// <param name="Tokens">The last tokens, which are measured; those between fill the cache and teach the predictor.</param>
internal sealed record DecodeRun(string Directory, int[] Script, int Prompt, int Tokens)
{
    public const int Threads = 2;

    /// <summary>File of what the predictor has learned before; null for nothing.</summary>
    public string? Predictor { get; init; }

    /// <summary>The model's routing, where a predictor is used.</summary>
    public RoutingShape? Shape { get; init; }

    /// <param name="budget">Of the experts, in bytes; null for all.</param>
    /// <param name="prefetch">The policy's settings.</param>
    /// <param name="policy">A policy in place of them.</param>
    public DecodeResult Run(long? budget, PrefetchSpec? prefetch = null, IPrefetchPolicy? policy = null)
    {
        var parts = policy is null ? null : new StallParts(policy);
        using var model = ModelLoader.Load(Directory, new ModelLoadOptions
        {
            ExpertBudgetBytes = budget,
            Threads = Threads,
            PrefetchSpec = prefetch ?? new PrefetchSpec(),
            Predictor = Predictor,
            Prefetch = parts,
        });
        using var kv = model.CreateSequence();
        model.Forward([new SequenceChunk(kv, Script.AsMemory(0, Prompt), LogitsFor.Last)]);
        var at = Prompt;
        for (; at < Script.Length - Tokens; at++)
            model.Forward([new SequenceChunk(kv, Script.AsMemory(at, 1), LogitsFor.Last)]);
        var before = model.Experts;
        parts?.Restart();
        var output = new int[Tokens];
        var begun = Stopwatch.GetTimestamp();
        for (var i = 0; i < Tokens; i++)
            output[i] = Best(model.Forward([new SequenceChunk(kv, Script.AsMemory(at + i, 1), LogitsFor.Last)])[0]);
        return new DecodeResult(Stopwatch.GetElapsedTime(begun).TotalSeconds, Tokens, model.Experts.Since(before), output) { Parts = parts };
    }

    private static int Best(float[] logits)
    {
        var best = 0;
        for (var i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best])
                best = i;
        }
        return best;
    }
}
