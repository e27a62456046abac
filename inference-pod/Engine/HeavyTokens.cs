using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Engine;

/// <summary>
/// The tokens of the smallest set that has a mass, and a few more: those whose weights are below a bound can be left out where
/// together they have no more than what may be left out. Of N tokens, an Nth of that is such a bound. What is not below it is
/// copied together, and larger bounds are tried on that, several in one pass: passes that only add are cheap beside
/// ranking what they spare.
/// </summary>
internal static class HeavyTokens
{
    /// <summary>Room that is needed behind the last weight.</summary>
    public const int Width = 16;

    /// <summary>Fewer are not worth another round of leaving some out.</summary>
    private const int Few = 64;

    /// <summary>Bounds that are tried in one pass.</summary>
    private const int Bounds = 4;

    /// <summary>From one bound to the next, first roughly and then between two of those.</summary>
    private const float Growth = 4, Refinement = 1.32f;

    /// <summary>Weights that are summed in fp32 at a time: far within what callers leave as slack.</summary>
    private const int Stretch = 4096;

    /// <param name="weights">Of all tokens; none is NaN or below 0.</param>
    /// <param name="spare">What those that are left out may have together, above 0.</param>
    /// <param name="heavy">Overwritten; longer than <paramref name="weights"/> by <see cref="Width"/> at least.</param>
    /// <param name="tokens">Receives the tokens, in the order of their ids; as long.</param>
    /// <returns>How many.</returns>
    public static int Find(ReadOnlySpan<float> weights, double spare, Span<float> heavy, Span<int> tokens)
    {
        float least = (float)Math.Max(spare / weights.Length, float.Epsilon);
        int count = Copy(weights, least, heavy, tokens, out double below);
        float bound = least;
        while (count > Few && Raise(heavy, count, below, ref bound, Growth, spare) == Bounds)
        {
        }
        if (count > Few)
            Raise(heavy, count, below, ref bound, Refinement, spare);
        return bound > least ? Keep(heavy, tokens, count, bound) : count;
    }

    /// <summary>Copies what is not below a bound together; tells what is below.</summary>
    private static int Copy(ReadOnlySpan<float> weights, float least, Span<float> heavy, Span<int> tokens, out double below)
    {
        ref float from = ref MemoryMarshal.GetReference(weights);
        var bound = Vector512.Create(least);
        int count = 0, i = 0;
        below = 0;
        while (i + Width <= weights.Length)
        {
            var sum = Vector512<float>.Zero;
            for (int end = Math.Min(weights.Length, i + Stretch); i + Width <= end; i += Width)
            {
                var part = Vector512.LoadUnsafe(ref from, (nuint)i);
                var keeps = Vector512.GreaterThanOrEqual(part, bound);
                sum += Vector512.ConditionalSelect(keeps, Vector512<float>.Zero, part);
                Put(part, Vector512.CreateSequence(i, 1), keeps, heavy, tokens, ref count);
            }
            below += Vector512.Sum(sum);
        }
        for (; i < weights.Length; i++)
        {
            if (weights[i] >= least)
                (heavy[count], tokens[count++]) = (weights[i], i);
            else
                below += weights[i];
        }
        // Whole vectors are read from now on.
        heavy.Slice(count, Width).Clear();
        return count;
    }

    /// <summary>Leaves out what is below a bound.</summary>
    private static int Keep(Span<float> heavy, Span<int> tokens, int count, float bound)
    {
        int kept = 0;
        for (int i = 0; i < count; i += Width)
        {
            var part = Vector512.Create<float>(heavy[i..]);
            // What is written ends where the next is read from, or before.
            Put(part, Vector512.Create<int>(tokens[i..]), Vector512.GreaterThanOrEqual(part, Vector512.Create(bound)), heavy, tokens, ref kept);
        }
        return kept;
    }

    /// <summary>Appends those lanes that a mask keeps; what is behind them is overwritten.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(Vector512<float> weights, Vector512<int> ids, Vector512<float> keeps, Span<float> heavy, Span<int> tokens, ref int count)
    {
        ulong bits = keeps.ExtractMostSignificantBits();
        if (bits == 0)
            return;
        if (Avx512F.IsSupported)
        {
            Avx512F.Compress(Vector512<float>.Zero, keeps, weights).CopyTo(heavy[count..]);
            Avx512F.Compress(Vector512<int>.Zero, keeps.AsInt32(), ids).CopyTo(tokens[count..]);
            count += BitOperations.PopCount(bits);
            return;
        }
        for (; bits != 0; bits &= bits - 1)
        {
            int lane = BitOperations.TrailingZeroCount(bits);
            (heavy[count], tokens[count++]) = (weights[lane], ids[lane]);
        }
    }

    /// <summary>Raises a bound by a factor, up to <see cref="Bounds"/> times, while what is below may be left out and many are not below.</summary>
    /// <returns>How many times; <see cref="Bounds"/> says that more may be worth a try.</returns>
    private static int Raise(ReadOnlySpan<float> heavy, int count, double below, ref float bound, float factor, double spare)
    {
        Span<double> masses = stackalloc double[Bounds];
        Span<int> others = stackalloc int[Bounds];
        masses.Fill(below);
        Below(heavy, count, bound * factor, factor, masses, others);
        for (int i = 0; i < Bounds; i++)
        {
            if (masses[i] > spare)
                return i;
            bound *= factor;
            if (others[i] <= Few)
                return i;
        }
        return Bounds;
    }

    /// <summary>For each of four bounds adds the mass of the weights below it, and counts those that are not below it.</summary>
    private static void Below(ReadOnlySpan<float> heavy, int count, float bound, float factor, Span<double> masses, Span<int> others)
    {
        Vector512<float> a = Vector512.Create(bound), b = a * factor, c = b * factor, d = c * factor;
        ref float from = ref MemoryMarshal.GetReference(heavy);
        int heavyA = 0, heavyB = 0, heavyC = 0, heavyD = 0;
        for (int i = 0; i < count;)
        {
            Vector512<float> belowA = default, belowB = default, belowC = default, belowD = default;
            for (int end = Math.Min(count, i + Stretch); i < end; i += Width)
            {
                var weights = Vector512.LoadUnsafe(ref from, (nuint)i);
                heavyA += Add(weights, a, ref belowA);
                heavyB += Add(weights, b, ref belowB);
                heavyC += Add(weights, c, ref belowC);
                heavyD += Add(weights, d, ref belowD);
            }
            masses[0] += Vector512.Sum(belowA);
            masses[1] += Vector512.Sum(belowB);
            masses[2] += Vector512.Sum(belowC);
            masses[3] += Vector512.Sum(belowD);
        }
        (others[0], others[1], others[2], others[3]) = (heavyA, heavyB, heavyC, heavyD);
    }

    /// <summary>Adds weights below a bound; returns how many are not below it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Add(Vector512<float> weights, Vector512<float> bound, ref Vector512<float> below)
    {
        var heavy = Vector512.GreaterThanOrEqual(weights, bound);
        below += Vector512.ConditionalSelect(heavy, Vector512<float>.Zero, weights);
        return BitOperations.PopCount(heavy.ExtractMostSignificantBits());
    }
}
