namespace Moebius.Inference.Engine;

/// <summary>
/// Tokens as numbers that are larger the larger their value is and, for equal values, the lower their id: what is to be
/// ranked is parted and sorted as plain integers.
/// </summary>
internal static class TokenKeys
{
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

    /// <summary>Sorts keys, the largest first.</summary>
    public static void Sort(Span<ulong> keys)
    {
        keys.Sort();
        keys.Reverse();
    }
}
