using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Engine;

/// <summary>
/// The weights of all tokens in a draw, exp((logit - largest) / temperature) in fp32, and draws by them. One pass computes
/// and sums them, and nothing is ever sorted whole. Sums are taken in fp64, in eight lanes on every machine.
/// </summary>
internal readonly ref struct TokenWeights
{
    private const int Lanes = 8;

    /// <summary>Weights that are computed at a time.</summary>
    private const int Width = 16;

    /// <summary>Weights that are summed at a time while a draw looks for its place.</summary>
    private const int Stretch = 64;

    /// <summary>Fewer are put in order instead of being parted.</summary>
    private const int FewInOrder = 12;

    /// <summary>For sums of many roundings: what is left out is certain to be outside.</summary>
    private const double Slack = 0.999;

    private readonly ReadOnlySpan<float> _logits;
    private readonly float[] _rented;
    private readonly Span<float> _weights;

    /// <param name="logits">One row.</param>
    /// <param name="largest">The largest of them.</param>
    /// <param name="temperature">Above 0.</param>
    /// <param name="least">Smaller weights count as 0, as do those of logits that are no number.</param>
    public TokenWeights(ReadOnlySpan<float> logits, float largest, double temperature, double least)
    {
        _logits = logits;
        _rented = ArrayPool<float>.Shared.Rent(logits.Length);
        _weights = _rented.AsSpan(0, logits.Length);
        ref float from = ref MemoryMarshal.GetReference(logits);
        ref float to = ref MemoryMarshal.GetReference(_weights);
        // Bounded: the largest logit's weight is 1 at any temperature.
        float inverse = (float)Math.Min(1 / temperature, 1e30);
        var sums = Vector512<double>.Zero;
        int i = 0;
        for (; i + Width <= logits.Length; i += Width)
        {
            var weights = Weights(Vector512.LoadUnsafe(ref from, (nuint)i), largest, inverse, (float)least);
            weights.StoreUnsafe(ref to, (nuint)i);
            var (low, high) = Vector512.Widen(weights);
            sums += low + high;
        }
        Total = Sum(sums);
        for (; i < logits.Length; i++)
        {
            _weights[i] = Weights(Vector512.Create(logits[i]), largest, inverse, (float)least)[0];
            Total += _weights[i];
        }
    }

    /// <summary>The sum of all weights.</summary>
    public double Total { get; }

    /// <summary>Draws among all tokens, in the order of their ids.</summary>
    /// <param name="uniform">Where in their mass, from 0 to below 1.</param>
    public int Pick(double uniform)
    {
        double target = uniform * Total;
        int last = 0;
        for (int begin = 0; begin < _weights.Length; begin += Stretch)
        {
            var stretch = _weights[begin..Math.Min(begin + Stretch, _weights.Length)];
            double mass = Sum(stretch);
            if (mass > target)
                return begin + Reach(stretch, target);
            if (mass > 0)
                last = begin;
            target -= mass;
        }
        // Roundings may leave a little of the target.
        return last + Reach(_weights[last..Math.Min(last + Stretch, _weights.Length)], double.PositiveInfinity);
    }

    /// <summary>Draws among the likeliest tokens whose weights reach a share of all, the likeliest first, equal ones by their ids.</summary>
    /// <param name="share">Of the mass of all, above 0 and below 1.</param>
    /// <param name="uniform">Where in the mass of those, from 0 to below 1.</param>
    public int PickLikeliest(double share, double uniform)
    {
        double needed = share * Total;
        ulong[] rented = ArrayPool<ulong>.Shared.Rent(_weights.Length);
        try
        {
            var candidates = rented.AsSpan(0, Candidates(rented, needed));
            // The cut is where the mass reaches what is needed; a draw ends where it exceeds its target.
            var kept = candidates[..(Reach(candidates, Math.BitDecrement(needed)) + 1)];
            return TokenKeys.Token(kept[Reach(kept, uniform * Mass(kept))]);
        }
        finally
        {
            ArrayPool<ulong>.Shared.Return(rented);
        }
    }

    /// <summary>Gives back the memory.</summary>
    public void Dispose() => ArrayPool<float>.Shared.Return(_rented);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Weights(Vector512<float> logits, float largest, float inverse, float least)
    {
        var exponents = (logits - Vector512.Create(largest)) * inverse;
        var weights = Exponential.Of(exponents);
        // A comparison with NaN is false.
        return Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(weights, Vector512.Create(least)), weights, Vector512<float>.Zero);
    }

    private static double Sum(Vector512<double> lanes)
    {
        double sum = 0;
        for (int lane = 0; lane < Lanes; lane++)
            sum += lanes[lane];
        return sum;
    }

    private static double Sum(ReadOnlySpan<float> weights)
    {
        var sums = Vector512<double>.Zero;
        int i = 0;
        for (; i + Width <= weights.Length; i += Width)
        {
            var (low, high) = Vector512.Widen(Vector512.Create(weights[i..]));
            sums += low + high;
        }
        double sum = Sum(sums);
        for (; i < weights.Length; i++)
            sum += weights[i];
        return sum;
    }

    /// <summary>The first weight with which the sum exceeds a target, or the last that is not 0.</summary>
    private static int Reach(ReadOnlySpan<float> weights, double target)
    {
        int last = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0)
                continue;
            target -= weights[i];
            if (target < 0)
                return i;
            last = i;
        }
        return last;
    }

    /// <summary>The keys of all tokens of the smallest set that has the mass, and of a few more; returns how many.</summary>
    private int Candidates(Span<ulong> candidates, double needed)
    {
        float[] heavy = ArrayPool<float>.Shared.Rent(_weights.Length + HeavyTokens.Width);
        int[] tokens = ArrayPool<int>.Shared.Rent(heavy.Length);
        int count = HeavyTokens.Find(_weights, (Total - needed) * Slack, heavy, tokens);
        for (int i = 0; i < count; i++)
            candidates[i] = Key(tokens[i]);
        ArrayPool<float>.Shared.Return(heavy);
        ArrayPool<int>.Shared.Return(tokens);
        return count;
    }

    /// <summary>
    /// Puts the likeliest candidates first, only as far as it takes to find the one with which their mass exceeds a
    /// target; the last one where it never does. Returns its place: all before it are likelier.
    /// </summary>
    private int Reach(Span<ulong> candidates, double target)
    {
        int from = 0, to = candidates.Length;
        while (to - from > FewInOrder)
        {
            int pivot = TokenKeys.Part(candidates[from..to]) + from;
            double before = Mass(candidates[from..pivot]);
            if (before > target)
            {
                to = pivot;
                continue;
            }
            double with = before + _weights[TokenKeys.Token(candidates[pivot])];
            if (with > target)
                return pivot;
            target -= with;
            from = pivot + 1;
        }
        TokenKeys.Sort(candidates[from..to]);
        for (; from < candidates.Length - 1; from++)
        {
            target -= _weights[TokenKeys.Token(candidates[from])];
            if (target < 0)
                break;
        }
        return Math.Min(from, candidates.Length - 1);
    }

    private double Mass(ReadOnlySpan<ulong> candidates)
    {
        // Four sums, since each addition waits for the one before.
        double a = 0, b = 0, c = 0, d = 0;
        int i = 0;
        for (; i + 4 <= candidates.Length; i += 4)
        {
            a += _weights[TokenKeys.Token(candidates[i])];
            b += _weights[TokenKeys.Token(candidates[i + 1])];
            c += _weights[TokenKeys.Token(candidates[i + 2])];
            d += _weights[TokenKeys.Token(candidates[i + 3])];
        }
        for (; i < candidates.Length; i++)
            a += _weights[TokenKeys.Token(candidates[i])];
        return a + b + (c + d);
    }

    private ulong Key(int token) => TokenKeys.Of(_logits[token], token);
}
