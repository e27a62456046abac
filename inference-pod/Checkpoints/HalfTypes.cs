namespace Moebius.Inference.Checkpoints;

/// <summary>Exact widening of the two 16-bit floating types, and rounding to one.</summary>
internal static class HalfTypes
{
    /// <summary>NaN in bf16.</summary>
    public const ushort BFloat16NaN = 0x7FC0;

    public static float ToSingle(ushort bits, TensorType type) => type == TensorType.BF16
        ? BitConverter.UInt32BitsToSingle((uint)bits << 16)
        : (float)BitConverter.UInt16BitsToHalf(bits);

    /// <summary>Widens many.</summary>
    /// <param name="bits">What is widened.</param>
    /// <param name="type">Its type.</param>
    /// <param name="to">As long at least.</param>
    public static void ToSingle(ReadOnlySpan<ushort> bits, TensorType type, Span<float> to)
    {
        for (var i = 0; i < bits.Length; i++)
            to[i] = ToSingle(bits[i], type);
    }

    /// <summary>To the nearest, ties to even.</summary>
    public static ushort ToBFloat16(float value)
    {
        if (float.IsNaN(value))
            return BFloat16NaN;
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
