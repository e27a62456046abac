using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Engine;

/// <summary>
/// The weights of all tokens in a draw, exp((logit - largest) / temperature) in fp32, and draws by them. One pass computes
/// and sums them, and nothing is ever sorted whole. Sums are taken in fp64, of four weights each in fp32, in the
/// same order on every machine.
/// </summary>
internal readonly ref struct TokenWeights
{
    /// <summary>Weights that are computed at a time.</summary>
    private const int Width = 16;

    /// <summary>Weights that are summed at a time while a draw looks for its place.</summary>
    private const int Stretch = 64;

    /// <summary>For roundings of sums: what is left out is certain to be outside.</summary>
    private const double Slack = 1 - 1e-6;

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
        float inverse = (float)Math.Min(1 / temperature, 1e30), bound = (float)least;
        var sums = Vector512<double>.Zero;
        int i = 0;
        for (; i + Stretch <= logits.Length; i += Stretch)
        {
            var a = Next(ref from, ref to, i, largest, inverse, bound) + Next(ref from, ref to, i + Width, largest, inverse, bound);
            var b = Next(ref from, ref to, i + (2 * Width), largest, inverse, bound) + Next(ref from, ref to, i + (3 * Width), largest, inverse, bound);
            var (low, high) = Vector512.Widen(a + b);
            sums += low + high;
        }
        Total = LaneSum.One(sums);
        for (; i < logits.Length; i++)
        {
            _weights[i] = Weights(Vector512.Create(logits[i]), largest, inverse, bound)[0];
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
        // Of N tokens, those that have less than an Nth of what is left out are outside.
        float least = (float)Math.Max(((Total * Slack) - needed) / _weights.Length, float.Epsilon);
        float[] memory = ArrayPool<float>.Shared.Rent(HeaviestFirst.Memory(_weights.Length));
        try
        {
            var likeliest = new HeaviestFirst(_logits, _weights, least, memory);
            // The cut is where the mass reaches what is needed; a draw ends where it exceeds its target.
            ulong cut = likeliest.Find(Math.BitDecrement(needed), out double before);
            double kept = before + _weights[TokenKeys.Token(cut)];
            return TokenKeys.Token(Math.Max(cut, likeliest.Find(uniform * kept, out _)));
        }
        finally
        {
            ArrayPool<float>.Shared.Return(memory);
        }
    }

    /// <summary>Gives back the memory.</summary>
    public void Dispose() => ArrayPool<float>.Shared.Return(_rented);

    /// <summary>Computes and stores the next weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Next(ref float from, ref float to, int at, float largest, float inverse, float least)
    {
        var weights = Weights(Vector512.LoadUnsafe(ref from, (nuint)at), largest, inverse, least);
        weights.StoreUnsafe(ref to, (nuint)at);
        return weights;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Weights(Vector512<float> logits, float largest, float inverse, float least)
    {
        var weights = Exponential.OfNumbers((logits - Vector512.Create(largest)) * inverse);
        return least <= 0 ? weights : Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(weights, Vector512.Create(least)), weights, Vector512<float>.Zero);
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
        double sum = LaneSum.One(sums);
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
}
