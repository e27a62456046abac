using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>
/// <see cref="Router"/>'s choice for sixteen tokens at once, one in each lane of a vector: no step of it depends on where the best
/// scores are. Every sum and comparison is the one of a token alone, so that the results are the same bits.
/// </summary>
internal static unsafe class RouterLanes
{
    /// <summary>Tokens at once; fewer are possible.</summary>
    public const int Tokens = 16;

    /// <summary>With fewer tokens, one after the other takes less time.</summary>
    public const int Fewest = 3;

    private const int MostExperts = 256, MostChosen = 8;

    /// <summary>Choices that stay in registers.</summary>
    private const int Registers = 4;

    /// <summary>Whether a scheme can be followed in lanes.</summary>
    public static bool Fits(RouterSpec spec) =>
        (spec.Kind is RouterKind.TopKSoftmax || (spec.Kind is RouterKind.SoftmaxTopK && spec.TopGroups >= spec.Groups))
        && spec.Experts <= MostExperts && spec.Experts % 16 == 0 && spec.TopK <= MostChosen;

    /// <summary>Chooses experts for up to sixteen tokens. False, and nothing is written, where a token has not as many scores that are numbers.</summary>
    /// <param name="spec">The scheme; it <see cref="Fits"/>.</param>
    /// <param name="logits">One row for each token.</param>
    /// <param name="experts">Receives [tokens, top-k] experts, best first.</param>
    /// <param name="weights">Receives their weights.</param>
    [SkipLocalsInit]
    public static bool Route(RouterSpec spec, Rows logits, Span<int> experts, Span<float> weights)
    {
        var k = spec.TopK;
        var memory = stackalloc float[(spec.Experts + (2 * k) + 1) * Tokens];
        var scores = Aligned(memory);
        Turn(logits, scores);
        var sum = spec.Kind is RouterKind.SoftmaxTopK ? Powers(scores, spec.Experts) : default;
        var best = (Vector512<float>*)(scores + (spec.Experts * Tokens));
        var chosen = (Vector512<int>*)(best + k);
        Choose(scores, spec.Experts, best, chosen, k);
        if (Vector512.EqualsAny(best[k - 1], Vector512.Create(float.NegativeInfinity)))
            return false;
        if (spec.Kind is RouterKind.SoftmaxTopK)
            Divide(best, k, sum);
        else
            Softmax(best, k);
        if (spec.Normalize)
            Divide(best, k, Total(best, k));
        for (var i = 0; i < k; i++)
        {
            var scaled = best[i] * spec.Scale;
            for (var token = 0; token < logits.Count; token++)
            {
                experts[(token * k) + i] = ((int*)(chosen + i))[token];
                weights[(token * k) + i] = ((float*)&scaled)[token];
            }
        }
        return true;
    }

    /// <summary>The first place that begins a cache line: the stack's own alignment would have every vector lie in two.</summary>
    private static float* Aligned(float* memory) => (float*)(((nint)memory + 63) & ~63);

    /// <summary>Puts each token's scores into a lane; lanes without a token have the last one's.</summary>
    private static void Turn(Rows logits, float* scores)
    {
        for (var expert = 0; Avx512F.IsSupported && expert < logits.Width; expert += 16)
            TurnSquare(logits, expert, scores + (expert * Tokens));
        for (var token = 0; !Avx512F.IsSupported && token < Tokens; token++)
        {
            var row = logits[Math.Min(token, logits.Count - 1)];
            for (var expert = 0; expert < logits.Width; expert++)
                scores[(expert * Tokens) + token] = row[expert];
        }
    }

    /// <summary>
    /// The same for sixteen experts, in whole vectors: what is written one by one cannot be read as a vector before it has reached memory.
    /// </summary>
    [SkipLocalsInit]
    private static void TurnSquare(Rows logits, int first, float* scores)
    {
        // Four tokens' scores of each fourth expert from one on.
        var memory = stackalloc float[(Tokens + 1) * Tokens];
        var parts = (Vector512<float>*)Aligned(memory);
        for (var token = 0; token < Tokens; token += 4)
        {
            Vector512<float> a = Row(token), b = Row(token + 1), c = Row(token + 2), d = Row(token + 3);
            Vector512<double> low = Avx512F.UnpackLow(a, b).AsDouble(), high = Avx512F.UnpackHigh(a, b).AsDouble();
            Vector512<double> nextLow = Avx512F.UnpackLow(c, d).AsDouble(), nextHigh = Avx512F.UnpackHigh(c, d).AsDouble();
            parts[token] = Avx512F.UnpackLow(low, nextLow).AsSingle();
            parts[token + 1] = Avx512F.UnpackHigh(low, nextLow).AsSingle();
            parts[token + 2] = Avx512F.UnpackLow(high, nextHigh).AsSingle();
            parts[token + 3] = Avx512F.UnpackHigh(high, nextHigh).AsSingle();
        }
        for (var i = 0; i < 4; i++)
        {
            Vector512<float> a = Avx512F.Shuffle4x128(parts[i], parts[4 + i], 0x44), b = Avx512F.Shuffle4x128(parts[8 + i], parts[12 + i], 0x44);
            Vector512<float> c = Avx512F.Shuffle4x128(parts[i], parts[4 + i], 0xEE), d = Avx512F.Shuffle4x128(parts[8 + i], parts[12 + i], 0xEE);
            Avx512F.Shuffle4x128(a, b, 0x88).Store(scores + (i * Tokens));
            Avx512F.Shuffle4x128(a, b, 0xDD).Store(scores + ((4 + i) * Tokens));
            Avx512F.Shuffle4x128(c, d, 0x88).Store(scores + ((8 + i) * Tokens));
            Avx512F.Shuffle4x128(c, d, 0xDD).Store(scores + ((12 + i) * Tokens));
        }

        Vector512<float> Row(int token) => Vector512.Load(logits[Math.Min(token, logits.Count - 1)] + first);
    }

    /// <summary>Makes scores what a softmax divides by their sum; returns the sum.</summary>
    [SkipLocalsInit]
    private static Vector512<float> Powers(float* scores, int experts)
    {
        var largest = Vector512.Create(float.NegativeInfinity);
        for (var expert = 0; expert < experts; expert++)
            largest = LaneMax.Larger(largest, Vector512.Load(scores + (expert * Tokens)));
        var memory = stackalloc float[17 * Tokens];
        var lanes = (Vector512<float>*)Aligned(memory);
        for (var lane = 0; lane < 16; lane++)
            lanes[lane] = default;
        for (var expert = 0; expert < experts; expert++)
        {
            var power = Exponential.Of(Vector512.Load(scores + (expert * Tokens)) - largest);
            power.Store(scores + (expert * Tokens));
            lanes[expert % 16] += power;
        }
        return Fold(lanes);
    }

    /// <summary>The largest scores of each lane, in order; of equals the first.</summary>
    private static void Choose(float* scores, int experts, Vector512<float>* best, Vector512<int>* chosen, int k)
    {
        if (k <= Registers)
        {
            ChooseInRegisters(scores, experts, best, chosen, k);
            return;
        }
        for (var i = 0; i < k; i++)
            (best[i], chosen[i]) = (Vector512.Create(float.NegativeInfinity), default);
        for (var expert = 0; expert < experts; expert++)
        {
            var score = Vector512.Load(scores + (expert * Tokens));
            var id = Vector512.Create(expert);
            // Where it is better than one, it is better than those behind; they move.
            var better = Vector512.GreaterThan(score, best[k - 1]);
            for (var i = k - 1; i > 0; i--)
            {
                var next = Vector512.GreaterThan(score, best[i - 1]);
                best[i] = Vector512.ConditionalSelect(better, Vector512.ConditionalSelect(next, best[i - 1], score), best[i]);
                chosen[i] = Vector512.ConditionalSelect(better.AsInt32(), Vector512.ConditionalSelect(next.AsInt32(), chosen[i - 1], id), chosen[i]);
                better = next;
            }
            best[0] = Vector512.ConditionalSelect(better, score, best[0]);
            chosen[0] = Vector512.ConditionalSelect(better.AsInt32(), id, chosen[0]);
        }
    }

    /// <summary>The same for few choices, none of which is written before the last score has been compared.</summary>
    private static void ChooseInRegisters(float* scores, int experts, Vector512<float>* best, Vector512<int>* chosen, int k)
    {
        Vector512<float> best0 = Vector512.Create(float.NegativeInfinity), best1 = best0, best2 = best0, best3 = best0;
        Vector512<int> chosen0 = default, chosen1 = default, chosen2 = default, chosen3 = default;
        for (var expert = 0; expert < experts; expert++)
        {
            var score = Vector512.Load(scores + (expert * Tokens));
            var id = Vector512.Create(expert);
            var better0 = Vector512.GreaterThan(score, best0);
            var better1 = Vector512.GreaterThan(score, best1);
            var better2 = Vector512.GreaterThan(score, best2);
            var better3 = Vector512.GreaterThan(score, best3);
            best3 = Vector512.ConditionalSelect(better3, Vector512.ConditionalSelect(better2, best2, score), best3);
            chosen3 = Vector512.ConditionalSelect(better3.AsInt32(), Vector512.ConditionalSelect(better2.AsInt32(), chosen2, id), chosen3);
            best2 = Vector512.ConditionalSelect(better2, Vector512.ConditionalSelect(better1, best1, score), best2);
            chosen2 = Vector512.ConditionalSelect(better2.AsInt32(), Vector512.ConditionalSelect(better1.AsInt32(), chosen1, id), chosen2);
            best1 = Vector512.ConditionalSelect(better1, Vector512.ConditionalSelect(better0, best0, score), best1);
            chosen1 = Vector512.ConditionalSelect(better1.AsInt32(), Vector512.ConditionalSelect(better0.AsInt32(), chosen0, id), chosen1);
            best0 = Vector512.ConditionalSelect(better0, score, best0);
            chosen0 = Vector512.ConditionalSelect(better0.AsInt32(), id, chosen0);
        }
        ReadOnlySpan<Vector512<float>> values = [best0, best1, best2, best3];
        ReadOnlySpan<Vector512<int>> ids = [chosen0, chosen1, chosen2, chosen3];
        for (var i = 0; i < k; i++)
            (best[i], chosen[i]) = (values[i], ids[i]);
    }

    /// <summary>A softmax over the chosen, which are in order.</summary>
    [SkipLocalsInit]
    private static void Softmax(Vector512<float>* chosen, int k)
    {
        var memory = stackalloc float[17 * Tokens];
        var lanes = (Vector512<float>*)Aligned(memory);
        var largest = chosen[0];
        for (var i = 0; i < 16; i++)
            lanes[i] = i < k ? chosen[i] = Exponential.Of(chosen[i] - largest) : default;
        Divide(chosen, k, Fold(lanes));
    }

    private static void Divide(Vector512<float>* values, int count, Vector512<float> by)
    {
        for (var i = 0; i < count; i++)
            values[i] /= by;
    }

    /// <summary>In order.</summary>
    private static Vector512<float> Total(Vector512<float>* values, int count)
    {
        var sum = Vector512<float>.Zero;
        for (var i = 0; i < count; i++)
            sum += values[i];
        return sum;
    }

    /// <summary>Sixteen sums in the tree of <see cref="LaneSum"/>.</summary>
    private static Vector512<float> Fold(Vector512<float>* s)
    {
        for (var half = 8; half > 2; half /= 2)
        {
            for (var i = 0; i < half; i++)
                s[i] += s[i + half];
        }
        return (s[0] + s[2]) + (s[1] + s[3]);
    }
}
