using System.Numerics.Tensors;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// How different the tokens of a batch are (section on the initial horizon of ExpertFlow, arXiv 2510.26730): the sum of
/// squared distances between all pairs predicts better than the number of tokens how many experts a batch needs. The
/// paper takes embeddings; a policy sees gates, and tokens with equal gates need equal experts.
/// </summary>
internal static class BatchDiversity
{
    /// <summary>
    /// The number of unrelated tokens that are as diverse: 1 when all tokens have the same gate, all of them when no
    /// two share an expert.
    /// </summary>
    /// <param name="gate">[tokens, experts] probabilities; null when not known: every token counts.</param>
    /// <param name="tokens">Tokens, at least 1.</param>
    public static double EffectiveTokens(ReadOnlySpan<float> gate, int tokens)
    {
        if (gate.IsEmpty || tokens == 1)
            return tokens;
        var experts = gate.Length / tokens;
        var sum = new float[experts];
        for (var t = 0; t < tokens; t++)
            TensorPrimitives.Add(sum, gate.Slice(t * experts, experts), sum);
        // Sum over i<j of |g_i - g_j|^2 = n * sum |g_i|^2 - |sum g_i|^2, and without overlap (n - 1) * sum |g_i|^2.
        double squares = TensorPrimitives.SumOfSquares(gate);
        var distance = tokens * squares - TensorPrimitives.SumOfSquares<float>(sum);
        return 1 + (tokens - 1) * Math.Clamp(distance / ((tokens - 1) * squares), 0, 1);
    }
}
