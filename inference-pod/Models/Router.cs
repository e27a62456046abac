using System.Numerics;
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
internal static class Router
{
    /// <summary>Experts whose scores are looked through once for each choice.</summary>
    private const int MostInVectors = 512;

    /// <summary>Chooses experts for some tokens; each one's are those that it has alone, to the last bit.</summary>
    /// <param name="spec">The scheme.</param>
    /// <param name="logits">One row for each token; overwritten.</param>
    /// <param name="correction">Added to the scores for the choice only; empty for none.</param>
    /// <param name="experts">Receives TopK distinct experts of each token, best first.</param>
    /// <param name="weights">Receives their weights.</param>
    public static void Route(RouterSpec spec, Rows logits, ReadOnlySpan<float> correction, Span<int> experts, Span<float> weights)
    {
        var k = spec.TopK;
        var fits = RouterLanes.Fits(spec);
        for (var first = 0; first < logits.Count;)
        {
            var count = fits ? Math.Min(RouterLanes.Tokens, logits.Count - first) : 1;
            if (count < RouterLanes.Fewest || !RouterLanes.Route(spec, logits.Slice(first, count), experts[(first * k)..], weights[(first * k)..]))
            {
                for (var token = first; token < first + count; token++)
                    Route(spec, logits.Span(token), correction, experts.Slice(token * k, k), weights.Slice(token * k, k));
            }
            first += count;
        }
    }

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
                var sum = Powers(logits);
                TopK(spec.TopGroups < spec.Groups ? OnlyBestGroups(spec, logits, best: 1) : logits, experts);
                Gather(logits, experts, weights);
                foreach (ref var weight in weights)
                    weight /= sum;
                break;
            case RouterKind.TopKSoftmax:
                TopK(logits, experts);
                Gather(logits, experts, weights);
                Softmax(weights);
                break;
            case RouterKind.SigmoidGroups:
                for (var i = 0; i < logits.Length; i++)
                    logits[i] = 1 / (1 + MathF.Exp(-logits[i]));
                Span<float> choice = new float[logits.Length];
                for (var i = 0; i < logits.Length; i++)
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
            var total = spec.Kind is RouterKind.SigmoidGroups ? 1e-20f : 0;
            foreach (var w in weights)
                total += w;
            foreach (ref var w in weights)
                w /= total;
        }
        foreach (ref var w in weights)
            w *= spec.Scale;
    }

    /// <summary>
    /// A copy of the scores where experts outside the best groups are out of reach. A group is as good as the sum of
    /// its best one or two.
    /// </summary>
    private static float[] OnlyBestGroups(RouterSpec spec, ReadOnlySpan<float> scores, int best)
    {
        var size = spec.Experts / spec.Groups;
        var groups = new float[spec.Groups];
        for (var g = 0; g < spec.Groups; g++)
        {
            var top = new int[Math.Min(best, size)];
            var group = scores.Slice(g * size, size);
            TopK(group, top);
            foreach (var i in top)
                groups[g] += group[i];
        }
        var chosen = new int[spec.TopGroups];
        TopK(groups, chosen);
        var allowed = new float[scores.Length];
        Array.Fill(allowed, float.NegativeInfinity);
        foreach (var g in chosen)
            scores.Slice(g * size, size).CopyTo(allowed.AsSpan(g * size));
        return allowed;
    }

    /// <summary>Two experts; the weight of each is its share among those whose logits come near the best.</summary>
    private static void SparseMixer(RouterSpec spec, ReadOnlySpan<float> logits, Span<int> experts, Span<float> weights)
    {
        var left = logits.ToArray();
        for (var choice = 0; choice < experts.Length; choice++)
        {
            TopK(left, experts.Slice(choice, 1));
            var chosen = experts[choice];
            float max = left[chosen], sum = 0;
            for (var i = 0; i < left.Length; i++)
            {
                var factor = Math.Max(MathF.Abs(logits[i]), max);
                // As in the reference implementation what is no number, 0 / 0 where the best is 0, is not left out.
                if (!((max - logits[i]) / factor > 2 * spec.Jitter))
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
        for (var choice = 0; choice < chosen.Length; choice++)
        {
            var most = Vector512.Create(float.NegativeInfinity);
            for (var i = 0; i < left.Length; i += 16)
                most = LaneMax.Larger(most, Vector512.Create<float>(left.Slice(i, 16)));
            var best = LaneMax.One(most);
            if (float.IsNegativeInfinity(best))
                return false;
            var at = First(left, best);
            chosen[choice] = at;
            // A whole vector, since one is read next: a shorter write would have to reach memory first.
            var block = left.Slice(at / 16 * 16, 16);
            var taken = Vector512.Equals(Vector512.CreateSequence(0, 1), Vector512.Create(at % 16)).AsSingle();
            Vector512.ConditionalSelect(taken, Vector512.Create(float.NegativeInfinity), Vector512.Create<float>(block)).CopyTo(block);
        }
        return true;
    }

    /// <summary>Where a value is that is there; whole vectors.</summary>
    private static int First(ReadOnlySpan<float> values, float value)
    {
        var at = 0;
        ulong equal = 0;
        // Of a few vectors all are looked at: where it is cannot be foreseen, and a branch would be.
        if (values.Length <= 64)
        {
            for (var i = 0; i < values.Length; i += 16)
                equal |= Vector512.Equals(Vector512.Create(values.Slice(i, 16)), Vector512.Create(value)).ExtractMostSignificantBits() << i;
        }
        else
        {
            while ((equal = Vector512.Equals(Vector512.Create(values.Slice(at, 16)), Vector512.Create(value)).ExtractMostSignificantBits()) == 0)
                at += 16;
        }
        return at + BitOperations.TrailingZeroCount(equal);
    }

    /// <summary>One pass, with the best so far kept in order.</summary>
    private static void TopKInOrder(ReadOnlySpan<float> scores, Span<int> chosen)
    {
        var count = 0;
        for (var i = 0; i < scores.Length; i++)
        {
            if (count == chosen.Length && !(scores[i] > scores[chosen[^1]]))
                continue;
            var at = count < chosen.Length ? count++ : count - 1;
            for (; at > 0 && scores[i] > scores[chosen[at - 1]]; at--)
                chosen[at] = chosen[at - 1];
            chosen[at] = i;
        }
    }

    private static void Gather(ReadOnlySpan<float> scores, ReadOnlySpan<int> experts, Span<float> weights)
    {
        for (var i = 0; i < experts.Length; i++)
            weights[i] = scores[experts[i]];
    }

    private static void Softmax(Span<float> x)
    {
        var sum = Powers(x);
        foreach (ref var power in x)
            power /= sum;
    }

    /// <summary>
    /// Makes logits what a softmax divides by their sum, which is returned. In whole vectors wherever an element lies, and summed in one
    /// order: the result depends on nothing else.
    /// </summary>
    private static float Powers(Span<float> x)
    {
        if (x.Length % 16 == 0)
            return PowersOfVectors(x);
        var length = (x.Length + 15) / 16 * 16;
        var padded = length <= MostInVectors ? stackalloc float[length] : new float[length];
        x.CopyTo(padded);
        padded[x.Length..].Fill(float.NegativeInfinity);
        var sum = PowersOfVectors(padded);
        padded[..x.Length].CopyTo(x);
        return sum;
    }

    private static float PowersOfVectors(Span<float> x)
    {
        var most = Vector512.Create(float.NegativeInfinity);
        for (var i = 0; i < x.Length; i += 16)
            most = LaneMax.Larger(most, Vector512.Create<float>(x.Slice(i, 16)));
        var largest = Vector512.Create(LaneMax.One(most));
        var sums = Vector512<float>.Zero;
        for (var i = 0; i < x.Length; i += 16)
        {
            // NaN stays NaN, and becomes the sum.
            var powers = Exponential.Of(Vector512.Create<float>(x.Slice(i, 16)) - largest);
            powers.CopyTo(x[i..]);
            sums += powers;
        }
        return LaneSum.One(sums);
    }
}
