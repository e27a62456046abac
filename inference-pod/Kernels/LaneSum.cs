using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Kernels;

/// <summary>
/// Sums of the sixteen lanes of a vector, always in the same tree: halves are added until one value is left. One sum
/// alone, sixteen sums together, with AVX-512 or without: the same bits.
/// </summary>
internal static unsafe class LaneSum
{
    /// <summary>
    /// The sum of squares of elements, whatever their address: library routines begin at an aligned one, so that their
    /// result for a row depends on where it lies.
    /// </summary>
    public static float Squares(float* x, int count)
    {
        Vector512<float> a = default, b = default;
        var i = 0;
        for (; i + 32 <= count; i += 32)
        {
            var low = Vector512.Load(x + i);
            var high = Vector512.Load(x + i + 16);
            a = Vector512.FusedMultiplyAdd(low, low, a);
            b = Vector512.FusedMultiplyAdd(high, high, b);
        }
        var sum = One(a + b);
        for (; i < count; i++)
            sum = MathF.FusedMultiplyAdd(x[i], x[i], sum);
        return sum;
    }

    /// <summary>The sum of elements, whatever their address.</summary>
    public static float Of(float* x, int count)
    {
        var lanes = Vector512<float>.Zero;
        var i = 0;
        for (; i + 16 <= count; i += 16)
            lanes += Vector512.Load(x + i);
        var sum = One(lanes);
        for (; i < count; i++)
            sum += x[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float One(Vector512<float> s)
    {
        var eight = s.GetLower() + s.GetUpper();
        var four = eight.GetLower() + eight.GetUpper();
        return (four[0] + four[2]) + (four[1] + four[3]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double One(Vector512<double> s)
    {
        var four = s.GetLower() + s.GetUpper();
        var two = four.GetLower() + four.GetUpper();
        return two[0] + two[1];
    }

    /// <summary>The sums of s0 to s15, in this order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Sixteen(
        Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3,
        Vector512<float> s4, Vector512<float> s5, Vector512<float> s6, Vector512<float> s7,
        Vector512<float> s8, Vector512<float> s9, Vector512<float> s10, Vector512<float> s11,
        Vector512<float> s12, Vector512<float> s13, Vector512<float> s14, Vector512<float> s15)
    {
        if (!Avx512F.IsSupported)
        {
            return Vector512.Create(
                One(s0), One(s1), One(s2), One(s3), One(s4), One(s5), One(s6), One(s7),
                One(s8), One(s9), One(s10), One(s11), One(s12), One(s13), One(s14), One(s15));
        }
        // Each of the four has its quarter of the lanes from s[i], s[i + 4], s[i + 8], s[i + 12].
        var a = Quarters(s0, s4, s8, s12);
        var b = Quarters(s1, s5, s9, s13);
        var c = Quarters(s2, s6, s10, s14);
        var d = Quarters(s3, s7, s11, s15);
        var ab = Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b);
        var cd = Avx512F.UnpackLow(c, d) + Avx512F.UnpackHigh(c, d);
        return Avx512F.UnpackLow(ab.AsDouble(), cd.AsDouble()).AsSingle() + Avx512F.UnpackHigh(ab.AsDouble(), cd.AsDouble()).AsSingle();
    }

    /// <summary>Four vectors, each folded to a quarter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Quarters(Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3)
    {
        var s01 = Avx512F.Shuffle4x128(s0, s1, 0x44) + Avx512F.Shuffle4x128(s0, s1, 0xEE);
        var s23 = Avx512F.Shuffle4x128(s2, s3, 0x44) + Avx512F.Shuffle4x128(s2, s3, 0xEE);
        return Avx512F.Shuffle4x128(s01, s23, 0x88) + Avx512F.Shuffle4x128(s01, s23, 0xDD);
    }
}
