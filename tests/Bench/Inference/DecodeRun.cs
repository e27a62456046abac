using System.Diagnostics;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Models;
using Moebius.Inference.Prefetch;

namespace Moebius.Bench.Inference;

/// <summary>What decoding took.</summary>
/// <param name="Seconds">All of it.</param>
/// <param name="Tokens">Tokens decoded.</param>
/// <param name="Experts">The expert store's counters of the time.</param>
/// <param name="Output">The tokens.</param>
internal sealed record DecodeResult(double Seconds, int Tokens, ExpertStatistics Experts, int[] Output)
{
    public double TokensPerSecond => Tokens / Seconds;

    /// <summary>Seconds that compute waited for experts, a token.</summary>
    public double Stall => Experts.StallSeconds / Tokens;

    public double HitRate => (double)Experts.Hits / (Experts.Hits + Experts.Misses);
}

/// <summary>A model's greedy decoding of one sequence, in this process, with reads past the page cache.</summary>
/// <param name="Directory">The model, packed.</param>
/// <param name="Prompt">Tokens that are prefilled.</param>
/// <param name="Warm">Tokens decoded before those that are measured: they fill the cache.</param>
/// <param name="Tokens">Tokens decoded and measured.</param>
internal sealed record DecodeRun(string Directory, int[] Prompt, int Warm, int Tokens)
{
    public const int Threads = 2;

    /// <param name="budget">Of the experts, in bytes; null for all.</param>
    /// <param name="prefetch">The policy's settings.</param>
    /// <param name="policy">A policy in place of them.</param>
    /// <param name="nextUse">For an oracle's evictions.</param>
    /// <param name="tier">How files are read.</param>
    public DecodeResult Run(long? budget, PrefetchSpec? prefetch = null, IPrefetchPolicy? policy = null, Func<ExpertKey, long>? nextUse = null, SlowTier tier = SlowTier.DirectIO)
    {
        using var model = ModelLoader.Load(Directory, new ModelLoadOptions
        {
            ExpertBudgetBytes = budget,
            Threads = Threads,
            SlowTier = tier,
            PrefetchSpec = prefetch ?? new PrefetchSpec(),
            Prefetch = policy,
            NextUse = nextUse,
        });
        using var kv = model.CreateSequence();
        int next = Best(model.Forward([new SequenceChunk(kv, Prompt, LogitsFor.Last)])[0]);
        for (int i = 0; i < Warm; i++)
            next = Best(model.Forward([new SequenceChunk(kv, new[] { next }, LogitsFor.Last)])[0]);
        var before = model.Experts;
        int[] output = new int[Tokens];
        long begun = Stopwatch.GetTimestamp();
        for (int i = 0; i < Tokens; i++)
            next = output[i] = Best(model.Forward([new SequenceChunk(kv, new[] { next }, LogitsFor.Last)])[0]);
        return new DecodeResult(Stopwatch.GetElapsedTime(begun).TotalSeconds, Tokens, model.Experts.Since(before), output);
    }

    private static int Best(float[] logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best])
                best = i;
        }
        return best;
    }
}
