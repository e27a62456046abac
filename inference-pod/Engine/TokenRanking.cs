using System.Buffers;
using System.Numerics;
using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Engine;

/// <summary>The largest of many values without sorting them all. NaN is never among them; ties go to the lower index.</summary>
internal static class TokenRanking
{
    /// <summary>Up to this many, keeping the best in order beats parting all.</summary>
    private const int MostInOrder = 256;

    /// <summary>No bound is looked for further below the largest value.</summary>
    private const float FurthestBound = 1 << 20;

    /// <summary>Halvings of the distance in which a bound is looked for.</summary>
    private const int BoundRounds = 12;

    /// <summary>The index of the largest value, or -1 where all are NaN or minus infinity.</summary>
    public static int Largest(ReadOnlySpan<float> values) =>
        LargestValue(values) is var largest && float.IsNegativeInfinity(largest) ? -1 : First(values, largest);

    /// <summary>The largest value; minus infinity where all are NaN or that.</summary>
    public static float LargestValue(ReadOnlySpan<float> values)
    {
        // Four, since each comparison waits for the one before. One with NaN is false.
        Vector512<float> a = Vector512.Create(float.NegativeInfinity), b = a, c = a, d = a;
        var i = 0;
        for (; i + 64 <= values.Length; i += 64)
        {
            var part = values.Slice(i, 64);
            a = LaneMax.Larger(a, Vector512.Create(part));
            b = LaneMax.Larger(b, Vector512.Create(part[16..]));
            c = LaneMax.Larger(c, Vector512.Create(part[32..]));
            d = LaneMax.Larger(d, Vector512.Create(part[48..]));
        }
        for (; i + 16 <= values.Length; i += 16)
            a = LaneMax.Larger(a, Vector512.Create(values.Slice(i, 16)));
        var largest = LaneMax.One(LaneMax.Larger(LaneMax.Larger(a, b), LaneMax.Larger(c, d)));
        for (; i < values.Length; i++)
            largest = values[i] > largest ? values[i] : largest;
        return largest;
    }

    /// <summary>The indices of the largest values, the largest first; fewer than asked for where there are not as many numbers.</summary>
    public static int[] Top(ReadOnlySpan<float> values, int count)
    {
        count = Math.Min(count, values.Length);
        return count <= MostInOrder ? InOrder(values, count) : Ranked(values, count);
    }

    private static int[] InOrder(ReadOnlySpan<float> values, int count)
    {
        var best = new int[count];
        int found = 0, i = 0;
        while (count > 0 && i < values.Length)
        {
            if (found == count && i + 16 <= values.Length && !Vector512.GreaterThanAny(Vector512.Create(values.Slice(i, 16)), Vector512.Create(values[best[^1]])))
            {
                i += 16;
                continue;
            }
            for (var end = Math.Min(i + 16, values.Length); i < end; i++)
            {
                if (float.IsNaN(values[i]) || (found == count && !(values[i] > values[best[^1]])))
                    continue;
                var at = found < count ? found++ : count - 1;
                for (; at > 0 && values[i] > values[best[at - 1]]; at--)
                    best[at] = best[at - 1];
                best[at] = i;
            }
        }
        return best[..found];
    }

    private static int[] Ranked(ReadOnlySpan<float> values, int count)
    {
        var rented = ArrayPool<ulong>.Shared.Rent(values.Length);
        var keys = rented.AsSpan(0, TokenKeys.Collect(values, values, Bound(values, count), rented));
        var best = new int[Math.Min(count, keys.Length)];
        TokenKeys.Rank(keys, best.Length);
        for (var i = 0; i < best.Length; i++)
            best[i] = TokenKeys.Token(keys[i]);
        ArrayPool<ulong>.Shared.Return(rented);
        return best;
    }

    /// <summary>
    /// A value that at least so many are not below, and that not many more are not below where it is easy to find: counting is
    /// cheap beside ranking. Minus infinity where there are not as many numbers.
    /// </summary>
    private static float Bound(ReadOnlySpan<float> values, int count)
    {
        var best = Largest(values);
        if (best < 0)
            return float.NegativeInfinity;
        float reach = 1;
        while (AtLeast(values, values[best] - reach) < count)
        {
            reach *= 2;
            if (reach > FurthestBound)
                return float.NegativeInfinity;
        }
        float enough = values[best] - reach, tooFew = values[best];
        for (var round = 0; round < BoundRounds; round++)
        {
            var middle = (enough + tooFew) / 2;
            var found = AtLeast(values, middle);
            if (found >= count)
                enough = middle;
            else
                tooFew = middle;
            if (found >= count && found <= 2 * count)
                break;
        }
        return enough;
    }

    private static int AtLeast(ReadOnlySpan<float> values, float bound)
    {
        int count = 0, i = 0;
        // A comparison with NaN is false.
        for (; i + 16 <= values.Length; i += 16)
            count += BitOperations.PopCount(Vector512.GreaterThanOrEqual(Vector512.Create(values.Slice(i, 16)), Vector512.Create(bound)).ExtractMostSignificantBits());
        for (; i < values.Length; i++)
            count += values[i] >= bound ? 1 : 0;
        return count;
    }

    private static int First(ReadOnlySpan<float> values, float value)
    {
        var i = 0;
        for (; i + 16 <= values.Length; i += 16)
        {
            var equal = Vector512.Equals(Vector512.Create(values.Slice(i, 16)), Vector512.Create(value)).ExtractMostSignificantBits();
            if (equal != 0)
                return i + BitOperations.TrailingZeroCount(equal);
        }
        while (values[i] != value)
            i++;
        return i;
    }
}
