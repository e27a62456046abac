using System.Numerics;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Engine;

/// <summary>
/// Tokens as numbers that are larger the larger their value is and, for equal values, the lower their id: what is to be
/// ranked is parted and sorted as plain integers.
/// </summary>
internal static class TokenKeys
{
    /// <summary>So many are sorted rather than parted.</summary>
    private const int Few = 8;

    /// <param name="value">Its logit; not NaN.</param>
    /// <param name="token">Its id.</param>
    public static ulong Of(float value, int token)
    {
        // Adding zero makes one of the two zeros.
        var bits = BitConverter.SingleToUInt32Bits(value + 0f);
        var order = (bits & 0x8000_0000) != 0 ? ~bits : bits | 0x8000_0000;
        return ((ulong)order << 32) | ~(uint)token;
    }

    public static int Token(ulong key) => (int)~(uint)key;

    /// <summary>Makes the keys of some tokens, in the order of their ids; returns how many.</summary>
    /// <param name="values">Of all tokens.</param>
    /// <param name="measures">As many: those tokens are taken whose measure is not below the bound, nor NaN.</param>
    /// <param name="bound">The bound.</param>
    /// <param name="keys">Receives the keys.</param>
    public static int Collect(ReadOnlySpan<float> values, ReadOnlySpan<float> measures, float bound, Span<ulong> keys)
    {
        int count = 0, i = 0;
        for (; i + 16 <= measures.Length; i += 16)
        {
            var found = Vector512.GreaterThanOrEqual(Vector512.Create(measures.Slice(i, 16)), Vector512.Create(bound)).ExtractMostSignificantBits();
            for (; found != 0; found &= found - 1)
            {
                var at = i + BitOperations.TrailingZeroCount(found);
                keys[count++] = Of(values[at], at);
            }
        }
        for (; i < measures.Length; i++)
        {
            if (measures[i] >= bound)
                keys[count++] = Of(values[i], i);
        }
        return count;
    }

    /// <summary>Parts keys at the middle one of three; returns its place. Larger ones come before it.</summary>
    public static int Part(Span<ulong> keys)
    {
        int last = keys.Length - 1, middle = last / 2;
        if (keys[middle] > keys[0])
            (keys[middle], keys[0]) = (keys[0], keys[middle]);
        if (keys[last] > keys[0])
            (keys[last], keys[0]) = (keys[0], keys[last]);
        if (keys[middle] > keys[last])
            (keys[middle], keys[last]) = (keys[last], keys[middle]);
        var pivot = keys[last];
        var place = 0;
        for (var i = 0; i < last; i++)
        {
            var key = keys[i];
            keys[i] = keys[place];
            keys[place] = key;
            place += key > pivot ? 1 : 0;
        }
        (keys[place], keys[last]) = (keys[last], keys[place]);
        return place;
    }

    /// <summary>Brings the largest keys to the front, in order.</summary>
    /// <param name="keys">All.</param>
    /// <param name="count">How many, at most all.</param>
    public static void Rank(Span<ulong> keys, int count)
    {
        for (int from = 0, to = keys.Length; to - from > 1;)
        {
            var place = Part(keys[from..to]) + from;
            if (place == count || place == count - 1)
                break;
            if (place > count)
                to = place;
            else
                from = place + 1;
        }
        Sort(keys[..count]);
    }

    /// <summary>Parts keys until that one is found with which the mass exceeds a target, or the last where it never does.</summary>
    /// <param name="keys">At least one. Larger ones come before the one that is found.</param>
    /// <param name="weights">Of all tokens.</param>
    /// <param name="target">0 or more.</param>
    /// <param name="before">The mass of all larger ones.</param>
    /// <returns>Its place.</returns>
    public static int Reach(Span<ulong> keys, ReadOnlySpan<float> weights, double target, out double before)
    {
        before = 0;
        int from = 0, to = keys.Length;
        while (to - from > Few)
        {
            var pivot = from + Part(keys[from..to]);
            var larger = before;
            foreach (var key in keys[from..pivot])
                larger += weights[Token(key)];
            if (larger > target)
            {
                to = pivot;
                continue;
            }
            var with = larger + weights[Token(keys[pivot])];
            if (with > target || pivot == to - 1)
            {
                before = larger;
                return pivot;
            }
            (from, before) = (pivot + 1, with);
        }
        Sort(keys[from..to]);
        for (; from < to - 1; from++)
        {
            var with = before + weights[Token(keys[from])];
            if (with > target)
                break;
            before = with;
        }
        return from;
    }

    /// <summary>Sorts keys, the largest first.</summary>
    public static void Sort(Span<ulong> keys)
    {
        keys.Sort();
        keys.Reverse();
    }
}
