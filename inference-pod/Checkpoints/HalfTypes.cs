namespace Moebius.Inference.Checkpoints;

/// <summary>Exact widening of the two 16-bit floating types.</summary>
internal static class HalfTypes
{
    public static float ToSingle(ushort bits, TensorType type) => type == TensorType.BF16
        ? BitConverter.UInt32BitsToSingle((uint)bits << 16)
        : (float)BitConverter.UInt16BitsToHalf(bits);
}
