using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// Weights in fp8, e4m3: a sign, four bits of exponent with bias 7, three of mantissa; no infinity, and NaN where all
/// seven bits are set (arXiv 2209.05433, table 1).
/// </summary>
internal static class Fp8
{
    /// <summary>e4m3's seven bits in the place of fp32's exponent and mantissa are the value times 2^(7 - 127).</summary>
    private static readonly float Rebias = MathF.ScaleB(1, 120);

    private static readonly float[] Values = [.. Enumerable.Range(0, 256).Select(code => Value((byte)code))];

    /// <summary>What a code stands for, exactly.</summary>
    public static float Value(byte code)
    {
        int exponent = (code >> 3) & 0xF, mantissa = code & 7;
        var magnitude = (code & 0x7F) == 0x7F ? double.NaN
            : exponent == 0 ? Math.ScaleB(mantissa, -9)
            : Math.ScaleB(8 + mantissa, exponent - 10);
        return (float)((code & 0x80) != 0 ? -magnitude : magnitude);
    }

    /// <summary>Values times their scale: multiplied in fp32, then rounded to bf16. NaN stays NaN, what is too large becomes infinite.</summary>
    /// <param name="codes">The values.</param>
    /// <param name="scale">Finite.</param>
    /// <param name="to">bf16, as many.</param>
    public static void ToBFloat16(ReadOnlySpan<byte> codes, float scale, Span<ushort> to)
    {
        to = to[..codes.Length];
        var at = 0;
        ref var from = ref MemoryMarshal.GetReference(codes);
        ref var first = ref MemoryMarshal.GetReference(to);
        for (; at <= codes.Length - Vector128<byte>.Count; at += Vector128<byte>.Count)
        {
            var wide = Vector256.WidenLower(Vector128.LoadUnsafe(ref from, (nuint)at).ToVector256Unsafe());
            var code = Vector512.WidenLower(wide.ToVector512Unsafe());
            var magnitude = code & Vector512.Create(0x7Fu);
            var value = Vector512.ShiftLeft(magnitude, 20).AsSingle() * Rebias;
            var signed = (value.AsUInt32() | Vector512.ShiftLeft(code & Vector512.Create(0x80u), 24)).AsSingle();
            var product = (signed * scale).AsUInt32();
            var odd = Vector512.ShiftRightLogical(product, 16) & Vector512.Create(1u);
            var rounded = Vector512.ShiftRightLogical(product + odd + Vector512.Create(0x7FFFu), 16);
            rounded = Vector512.ConditionalSelect(Vector512.Equals(magnitude, Vector512.Create(0x7Fu)), Vector512.Create((uint)HalfTypes.BFloat16NaN), rounded);
            Vector512.Narrow(rounded, rounded).GetLower().StoreUnsafe(ref first, (nuint)at);
        }
        for (; at < codes.Length; at++)
            to[at] = HalfTypes.ToBFloat16(Values[codes[at]] * scale);
    }
}
