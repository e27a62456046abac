using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

internal enum RouterKind
{
    /// <summary>Softmax over all experts, then the top k (Switch, Mixtral, Qwen, OLMoE, DeepSeek-V2).</summary>
    SoftmaxTopK,

    /// <summary>The top k, then softmax over those (gpt_oss, Granite).</summary>
    TopKSoftmax,

    /// <summary>Sigmoid scores, chosen with a correction bias inside the best groups (DeepSeek-V3, GLM-4).</summary>
    SigmoidGroups,

    /// <summary>SparseMixer's two choices at inference (arXiv 2409.12136).</summary>
    SparseMixer,
}

/// <summary>How a router turns its logits into experts and weights.</summary>
/// <param name="Kind">The scheme.</param>
/// <param name="Experts">Routed experts.</param>
/// <param name="TopK">Experts of a token.</param>
internal sealed record RouterSpec(RouterKind Kind, int Experts, int TopK)
{
    /// <summary>The chosen weights are divided by their sum.</summary>
    public bool Normalize { get; init; }

    public float Scale { get; init; } = 1;

    public int Groups { get; init; } = 1;

    /// <summary>Groups that a token's experts may come from.</summary>
    public int TopGroups { get; init; } = 1;

    public float Jitter { get; init; }
}

/// <summary>Chooses experts: a pure function of one token's router logits. Ties go to the lower index.</summary>
internal static unsafe class Router
{
    /// <summary>Experts whose scores are looked through once for each choice.</summary>
    private const int MostInVectors = 512;

    /// <param name="spec">The scheme.</param>
    /// <param name="logits">One per expert; overwritten.</param>
    /// <param name="correction">Added to the scores for the choice only; empty for none.</param>
    /// <param name="experts">Receives TopK distinct experts, best first.</param>
    /// <param name="weights">Receives their weights.</param>
    public static void Route(RouterSpec spec, Span<float> logits, ReadOnlySpan<float> correction, Span<int> experts, Span<float> weights)
    {
        switch (spec.Kind)
        {
            case RouterKind.SoftmaxTopK:
                Softmax(logits);
                Span<float> allowed = spec.TopGroups < spec.Groups ? OnlyBestGroups(spec, logits, best: 1) : logits;
                TopK(allowed, experts);
                Gather(logits, experts, weights);
                break;
            case RouterKind.TopKSoftmax:
                TopK(logits, experts);
                Gather(logits, experts, weights);
                Softmax(weights);
                break;
            case RouterKind.SigmoidGroups:
                for (int i = 0; i < logits.Length; i++)
                    logits[i] = 1 / (1 + MathF.Exp(-logits[i]));
                Span<float> choice = new float[logits.Length];
                for (int i = 0; i < logits.Length; i++)
                    choice[i] = logits[i] + (correction.IsEmpty ? 0 : correction[i]);
                TopK(spec.TopGroups < spec.Groups ? OnlyBestGroups(spec, choice, best: 2) : choice, experts);
                Gather(logits, experts, weights);
                break;
            case RouterKind.SparseMixer:
                SparseMixer(spec, logits, experts, weights);
                return;
            default:
                throw new ArgumentOutOfRangeException(nameof(spec), spec.Kind, null);
        }
        if (spec.Normalize)
        {
            float sum = spec.Kind is RouterKind.SigmoidGroups ? 1e-20f : 0;
            foreach (float w in weights)
                sum += w;
            foreach (ref float w in weights)
                w /= sum;
        }
        foreach (ref float w in weights)
            w *= spec.Scale;
    }

    /// <summary>
    /// A copy of the scores where experts outside the best groups are out of reach. A group is as good as the sum of
    /// its best one or two.
    /// </summary>
    private static float[] OnlyBestGroups(RouterSpec spec, ReadOnlySpan<float> scores, int best)
    {
        int size = spec.Experts / spec.Groups;
        float[] groups = new float[spec.Groups];
        for (int g = 0; g < spec.Groups; g++)
        {
            int[] top = new int[Math.Min(best, size)];
            var group = scores.Slice(g * size, size);
            TopK(group, top);
            foreach (int i in top)
                groups[g] += group[i];
        }
        int[] chosen = new int[spec.TopGroups];
        TopK(groups, chosen);
        float[] allowed = new float[scores.Length];
        Array.Fill(allowed, float.NegativeInfinity);
        foreach (int g in chosen)
            scores.Slice(g * size, size).CopyTo(allowed.AsSpan(g * size));
        return allowed;
    }

    /// <summary>Two experts; the weight of each is its share among those whose logits come near the best.</summary>
    private static void SparseMixer(RouterSpec spec, ReadOnlySpan<float> logits, Span<int> experts, Span<float> weights)
    {
        float[] left = logits.ToArray();
        for (int choice = 0; choice < experts.Length; choice++)
        {
            TopK(left, experts.Slice(choice, 1));
            int chosen = experts[choice];
            float max = left[chosen], sum = 0;
            for (int i = 0; i < left.Length; i++)
            {
                float factor = Math.Max(MathF.Abs(logits[i]), max);
                if ((max - logits[i]) / factor <= 2 * spec.Jitter)
                    sum += MathF.Exp(left[i] - max);
            }
            weights[choice] = 1 / sum;
            left[chosen] = float.NegativeInfinity;
        }
    }

    /// <summary>The largest scores, best first.</summary>
    private static void TopK(ReadOnlySpan<float> scores, Span<int> chosen)
    {
        if (scores.Length > MostInVectors || scores.Length % 16 != 0 || !TopKOfVectors(scores, chosen))
            TopKInOrder(scores, chosen);
    }

    /// <summary>One pass for each choice, without a branch that depends on scores. False where there are not as many numbers.</summary>
    [SkipLocalsInit]
    private static bool TopKOfVectors(ReadOnlySpan<float> scores, Span<int> chosen)
    {
        Span<float> left = stackalloc float[MostInVectors];
        left = left[..scores.Length];
        scores.CopyTo(left);
        for (int choice = 0; choice < chosen.Length; choice++)
        {
            var most = Vector512.Create(float.NegativeInfinity);
            for (int i = 0; i < left.Length; i += 16)
            {
                var part = Vector512.Create(left.Slice(i, 16));
                // A comparison with NaN is false.
                most = Vector512.ConditionalSelect(Vector512.GreaterThan(part, most), part, most);
            }
            var eight = Vector256.Max(most.GetLower(), most.GetUpper());
            var four = Vector128.Max(eight.GetLower(), eight.GetUpper());
            float best = Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3]));
            if (float.IsNegativeInfinity(best))
                return false;
            int at = 0;
            ulong equal;
            while ((equal = Vector512.Equals(Vector512.Create(left.Slice(at, 16)), Vector512.Create(best)).ExtractMostSignificantBits()) == 0)
                at += 16;
            at += BitOperations.TrailingZeroCount(equal);
            chosen[choice] = at;
            left[at] = float.NegativeInfinity;
        }
        return true;
    }

    /// <summary>One pass, with the best so far kept in order.</summary>
    private static void TopKInOrder(ReadOnlySpan<float> scores, Span<int> chosen)
    {
        int count = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            if (count == chosen.Length && !(scores[i] > scores[chosen[^1]]))
                continue;
            int at = count < chosen.Length ? count++ : count - 1;
            for (; at > 0 && scores[i] > scores[chosen[at - 1]]; at--)
                chosen[at] = chosen[at - 1];
            chosen[at] = i;
        }
    }

    private static void Gather(ReadOnlySpan<float> scores, ReadOnlySpan<int> experts, Span<float> weights)
    {
        for (int i = 0; i < experts.Length; i++)
            weights[i] = scores[experts[i]];
    }

    private static void Softmax(Span<float> x)
    {
        Exponentials(x, TensorPrimitives.Max<float>(x));
        float sum;
        fixed (float* values = x)
            sum = LaneSum.Of(values, x.Length);
        TensorPrimitives.Divide(x, sum, x);
    }

    /// <summary>exp(x - max) in place, in whole vectors wherever an element lies: its result depends on nothing else.</summary>
    private static void Exponentials(Span<float> x, float max)
    {
        int i = 0;
        for (; i + 16 <= x.Length; i += 16)
            Vector512.Exp(Vector512.Create(x.Slice(i, 16)) - Vector512.Create(max)).CopyTo(x[i..]);
        if (i == x.Length)
            return;
        Span<float> rest = stackalloc float[16];
        x[i..].CopyTo(rest);
        Vector512.Exp(Vector512.Create(rest) - Vector512.Create(max)).CopyTo(rest);
        rest[..(x.Length - i)].CopyTo(x[i..]);
    }
}
