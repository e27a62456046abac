using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Engine;

/// <summary>Passes over the weights of tokens that copy some of them together or add them up, sixteen at a time.</summary>
internal static class HeavyTokens
{
    /// <summary>Room that is needed behind the last weight, where whole vectors are written and read.</summary>
    public const int Width = 16;

    /// <summary>Bounds whose masses one pass adds.</summary>
    public const int Bounds = 7;

    /// <summary>Copies what is not below a bound.</summary>
    /// <param name="weights">Of all tokens; none is NaN.</param>
    /// <param name="least">The bound, above 0.</param>
    /// <param name="heavy">Overwritten; longer than <paramref name="weights"/> by <see cref="Width"/> at least. Zeros follow the last.</param>
    /// <param name="tokens">Receives the tokens, in the order of their ids; as long.</param>
    /// <returns>How many.</returns>
    public static int Copy(ReadOnlySpan<float> weights, float least, Span<float> heavy, Span<int> tokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Math.Min(heavy.Length, tokens.Length), weights.Length + Width);
        ref var from = ref MemoryMarshal.GetReference(weights);
        ref var to = ref MemoryMarshal.GetReference(heavy);
        ref var toIds = ref MemoryMarshal.GetReference(tokens);
        var bound = Vector512.Create(least);
        var ids = Vector512.CreateSequence(0, 1);
        int count = 0, i = 0;
        for (; i + Width <= weights.Length; i += Width)
        {
            var part = Vector512.LoadUnsafe(ref from, (nuint)i);
            Put(part, ids, Vector512.GreaterThanOrEqual(part, bound), ref to, ref toIds, ref count);
            ids += Vector512.Create(Width);
        }
        for (; i < weights.Length; i++)
        {
            if (weights[i] >= least)
                (heavy[count], tokens[count++]) = (weights[i], i);
        }
        heavy.Slice(count, Width).Clear();
        return count;
    }

    /// <summary>Copies what is between two bounds; where to may be where from.</summary>
    /// <param name="heavy">Weights, then zeros to a whole vector.</param>
    /// <param name="tokens">Their tokens.</param>
    /// <param name="count">How many.</param>
    /// <param name="least">The lower bound, above 0.</param>
    /// <param name="above">The upper one, which is not in between.</param>
    /// <param name="to">Receives the weights and zeros.</param>
    /// <param name="ids">Receives the tokens.</param>
    /// <param name="mass">The sum of what is above.</param>
    /// <returns>How many.</returns>
    public static int Between(ReadOnlySpan<float> heavy, ReadOnlySpan<int> tokens, int count, float least, float above, Span<float> to, Span<int> ids, out double mass)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Math.Min(to.Length, ids.Length), count + Width);
        ref float weight = ref MemoryMarshal.GetReference(heavy), toWeight = ref MemoryMarshal.GetReference(to);
        ref int token = ref MemoryMarshal.GetReference(tokens), toId = ref MemoryMarshal.GetReference(ids);
        var sums = Vector512<double>.Zero;
        var kept = 0;
        for (var i = 0; i < count; i += Width)
        {
            var part = Vector512.LoadUnsafe(ref weight, (nuint)i);
            var heavier = Vector512.GreaterThanOrEqual(part, Vector512.Create(above));
            var (low, high) = Vector512.Widen(Vector512.ConditionalSelect(heavier, part, Vector512<float>.Zero));
            sums += low + high;
            // What is written ends where the next is read from, or before.
            Put(part, Vector512.LoadUnsafe(ref token, (nuint)i), Vector512.AndNot(Vector512.GreaterThanOrEqual(part, Vector512.Create(least)), heavier), ref toWeight, ref toId, ref kept);
        }
        mass = LaneSum.One(sums);
        to.Slice(kept, Width).Clear();
        return kept;
    }

    /// <summary>Adds in fp32 what is not below each of some bounds.</summary>
    /// <param name="heavy">Weights, then zeros to a whole vector.</param>
    /// <param name="count">How many.</param>
    /// <param name="bounds">As many as <see cref="Bounds"/>, above 0.</param>
    /// <param name="masses">Receives the sums.</param>
    public static void Masses(ReadOnlySpan<float> heavy, int count, ReadOnlySpan<float> bounds, Span<float> masses)
    {
        ref var weight = ref MemoryMarshal.GetReference(heavy);
        Vector512<float> a = Vector512.Create(bounds[0]), b = Vector512.Create(bounds[1]), c = Vector512.Create(bounds[2]), d = Vector512.Create(bounds[3]),
            e = Vector512.Create(bounds[4]), f = Vector512.Create(bounds[5]), g = Vector512.Create(bounds[6]);
        Vector512<float> sumA = default, sumB = default, sumC = default, sumD = default, sumE = default, sumF = default, sumG = default;
        for (var i = 0; i < count; i += Width)
        {
            var part = Vector512.LoadUnsafe(ref weight, (nuint)i);
            sumA = Add(sumA, part, a);
            sumB = Add(sumB, part, b);
            sumC = Add(sumC, part, c);
            sumD = Add(sumD, part, d);
            sumE = Add(sumE, part, e);
            sumF = Add(sumF, part, f);
            sumG = Add(sumG, part, g);
        }
        masses[0] = LaneSum.One(sumA);
        masses[1] = LaneSum.One(sumB);
        masses[2] = LaneSum.One(sumC);
        masses[3] = LaneSum.One(sumD);
        masses[4] = LaneSum.One(sumE);
        masses[5] = LaneSum.One(sumF);
        masses[6] = LaneSum.One(sumG);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector512<float> Add(Vector512<float> sum, Vector512<float> part, Vector512<float> bound) =>
            Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(part, bound), sum + part, sum);
    }

    /// <summary>Appends those lanes that a mask keeps; a whole vector is overwritten.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(Vector512<float> weights, Vector512<int> ids, Vector512<float> keeps, ref float heavy, ref int tokens, ref int count)
    {
        var bits = keeps.ExtractMostSignificantBits();
        if (Avx512F.IsSupported)
        {
            Avx512F.Compress(Vector512<float>.Zero, keeps, weights).StoreUnsafe(ref heavy, (nuint)count);
            Avx512F.Compress(Vector512<int>.Zero, keeps.AsInt32(), ids).StoreUnsafe(ref tokens, (nuint)count);
            count += BitOperations.PopCount(bits);
            return;
        }
        for (; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            Unsafe.Add(ref heavy, count) = weights[lane];
            Unsafe.Add(ref tokens, count++) = ids[lane];
        }
    }
}
