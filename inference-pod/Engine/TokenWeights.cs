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

    /// <summary>Weights whose sum is kept.</summary>
    private const int Block = 8 * Stretch;

    /// <summary>For roundings of sums: what is left out is certain to be outside.</summary>
    private const double Slack = 1 - 1e-6;

    private readonly ReadOnlySpan<float> _logits;
    private readonly float[] _rented;
    private readonly double[] _blocks;
    private readonly Span<float> _weights;

    /// <param name="logits">One row.</param>
    /// <param name="largest">The largest of them.</param>
    /// <param name="temperature">Above 0.</param>
    /// <param name="least">Smaller weights count as 0, as do those of logits that are no number.</param>
    public TokenWeights(ReadOnlySpan<float> logits, float largest, double temperature, double least)
    {
        _logits = logits;
        _rented = ArrayPool<float>.Shared.Rent(logits.Length + Width);
        _weights = _rented.AsSpan(LineBegin(_rented), logits.Length);
        _blocks = ArrayPool<double>.Shared.Rent((logits.Length / Block) + 1);
        ref var from = ref MemoryMarshal.GetReference(logits);
        ref var to = ref MemoryMarshal.GetReference(_weights);
        // Bounded: the largest logit's weight is 1 at any temperature.
        var powers = new ScaledExponential(Math.Min(1 / temperature, 1e30), least);
        for (int block = 0, i = 0; i < logits.Length; block++)
        {
            var sums = Vector512<double>.Zero;
            var end = Math.Min(i + Block, logits.Length);
            for (; i + Stretch <= end; i += Stretch)
            {
                var a = Next(ref from, ref to, i, largest, powers) + Next(ref from, ref to, i + Width, largest, powers);
                var b = Next(ref from, ref to, i + (2 * Width), largest, powers) + Next(ref from, ref to, i + (3 * Width), largest, powers);
                var (low, high) = Vector512.Widen(a + b);
                sums += low + high;
            }
            var sum = LaneSum.One(sums);
            for (; i < end; i++)
            {
                _weights[i] = powers.Of(Vector512.Create(logits[i] - largest))[0];
                sum += _weights[i];
            }
            Total += _blocks[block] = sum;
        }
    }

    /// <summary>Where in an array a cache line begins: elsewhere every vector would lie in two. Nothing but time depends on it.</summary>
    private static unsafe int LineBegin(float[] memory)
    {
        fixed (float* first = memory)
            return (int)(-(nint)first & 63) / sizeof(float);
    }

    /// <summary>The sum of all weights.</summary>
    public double Total { get; }

    /// <summary>Draws among all tokens, in the order of their ids.</summary>
    /// <param name="uniform">Where in their mass, from 0 to below 1.</param>
    public int Pick(double uniform)
    {
        var target = uniform * Total;
        int last = 0, block = 0;
        for (; (block + 1) * Block < _weights.Length && _blocks[block] <= target; block++)
        {
            if (_blocks[block] > 0)
                last = block * Block;
            target -= _blocks[block];
        }
        for (var begin = block * Block; begin < _weights.Length; begin += Stretch)
        {
            var stretch = _weights[begin..Math.Min(begin + Stretch, _weights.Length)];
            var mass = Sum(stretch);
            if (mass > target)
                return begin + Reach(stretch, target);
            if (mass > 0)
                last = begin;
            target -= mass;
        }
        // Roundings may leave a little of the target.
        return last + Reach(_weights[last..Math.Min(last + Block, _weights.Length)], double.PositiveInfinity);
    }

    /// <summary>
    /// Whether a token is among the likeliest whose weights reach a share of all: without those before it, likelier ones and equal ones
    /// of smaller ids, more is left than the rest of the share. Sums of weights only grow, so that it ends where they are enough.
    /// </summary>
    /// <param name="token">Its id.</param>
    /// <param name="share">Of the mass of all, above 0.</param>
    public bool IsLikeliest(int token, double share)
    {
        double enough = (1 - share) * Total, rest = 0;
        if (_weights[token] > enough)
            return true;
        // Behind the stretch that the token is in, an equal one is not before it either.
        var less = Vector512.Create(MathF.BitDecrement(_logits[token]));
        var notMore = Vector512.Create(_logits[token]);
        ref var logits = ref MemoryMarshal.GetReference(_logits);
        ref var weights = ref MemoryMarshal.GetReference(_weights);
        int own = token / Stretch * Stretch, i = 0;
        while (i + Stretch <= _weights.Length)
        {
            var sums = Vector512<double>.Zero;
            for (var end = Math.Min(i + Block, _weights.Length); i + Stretch <= end; i += Stretch)
                sums += i == own ? Vector512.CreateScalar(OwnStretch(token, own)) : UpTo(ref logits, ref weights, i, i < own ? less : notMore);
            rest += LaneSum.One(sums);
            if (rest > enough)
                return true;
        }
        return rest + OwnStretch(token, i) > enough;
    }

    /// <summary>Draws among the likeliest tokens whose weights reach a share of all, the likeliest first, equal ones by their ids.</summary>
    /// <param name="share">Of the mass of all, above 0 and below 1.</param>
    /// <param name="uniform">Where in the mass of those, from 0 to below 1.</param>
    public int PickLikeliest(double share, double uniform)
    {
        var needed = share * Total;
        // Of N tokens, those that have less than an Nth of what is left out are outside.
        var least = (float)Math.Max(((Total * Slack) - needed) / _weights.Length, float.Epsilon);
        var rented = ArrayPool<ulong>.Shared.Rent(_weights.Length);
        var keys = rented.AsSpan(0, TokenKeys.Collect(_logits, _weights, least, rented));
        // The cut is where the mass reaches what is needed; a draw ends where it exceeds its target.
        var cut = TokenKeys.Reach(keys, _weights, Math.BitDecrement(needed), out var before);
        var kept = before + _weights[TokenKeys.Token(keys[cut])];
        var drawn = TokenKeys.Token(keys[TokenKeys.Reach(keys[..(cut + 1)], _weights, uniform * kept, out _)]);
        ArrayPool<ulong>.Shared.Return(rented);
        return drawn;
    }

    /// <summary>Gives back the memory.</summary>
    public void Dispose()
    {
        ArrayPool<float>.Shared.Return(_rented);
        ArrayPool<double>.Shared.Return(_blocks);
    }

    /// <summary>Adds up the weights from a place to the end of a stretch that are not before a token.</summary>
    private double OwnStretch(int token, int begin)
    {
        double sum = 0;
        for (var i = begin; i < Math.Min(begin + Stretch, _weights.Length); i++)
            sum += _logits[i] < _logits[token] || (i >= token && _logits[i] == _logits[token]) ? _weights[i] : 0;
        return sum;
    }

    /// <summary>Adds up the weights of a stretch whose logits are not above one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<double> UpTo(ref float logits, ref float weights, int at, Vector512<float> most)
    {
        var a = Some(ref logits, ref weights, at, most) + Some(ref logits, ref weights, at + Width, most);
        var b = Some(ref logits, ref weights, at + (2 * Width), most) + Some(ref logits, ref weights, at + (3 * Width), most);
        var (low, high) = Vector512.Widen(a + b);
        return low + high;

        // A comparison with NaN is false.
        static Vector512<float> Some(ref float logits, ref float weights, int at, Vector512<float> most) => Vector512.BitwiseAnd(
            Vector512.LessThanOrEqual(Vector512.LoadUnsafe(ref logits, (nuint)at), most), Vector512.LoadUnsafe(ref weights, (nuint)at));
    }

    /// <summary>Computes and stores the next weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Next(ref float from, ref float to, int at, float largest, in ScaledExponential powers)
    {
        var weights = powers.Of(Vector512.LoadUnsafe(ref from, (nuint)at) - Vector512.Create(largest));
        weights.StoreUnsafe(ref to, (nuint)at);
        return weights;
    }

    private static double Sum(ReadOnlySpan<float> weights)
    {
        var sums = Vector512<double>.Zero;
        var i = 0;
        for (; i + Width <= weights.Length; i += Width)
        {
            var (low, high) = Vector512.Widen(Vector512.Create(weights[i..]));
            sums += low + high;
        }
        var sum = LaneSum.One(sums);
        for (; i < weights.Length; i++)
            sum += weights[i];
        return sum;
    }

    /// <summary>The first weight with which the sum exceeds a target, or the last that is not 0.</summary>
    private static int Reach(ReadOnlySpan<float> weights, double target)
    {
        var last = 0;
        for (var i = 0; i < weights.Length; i++)
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
