using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Kernels;

/// <summary>Exponentials for softmaxes and sigmoids: of numbers that are not above 0, to about 2e-7, the same bits on every machine.</summary>
internal static class Exponential
{
    /// <summary>Below this, an exponential counts as 0: fp32 has no smaller normal numbers.</summary>
    public const float Least = -87;

    /// <summary>Adding it rounds to a whole number, which is then in the lowest bits: 1.5 times 2^23.</summary>
    private const float Rounding = 12_582_912;

    /// <summary>exp(x) for x from <see cref="Least"/> to 0, exactly 1 at 0, and 0 below; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Of(Vector512<float> x)
    {
        // A comparison with NaN is false.
        var power = Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(x, Vector512.Create(Least)), InRange(x), Vector512<float>.Zero);
        return Vector512.ConditionalSelect(Vector512.Equals(x, x), power, x);
    }

    /// <summary>2^n e^r with x = n ln 2 + r, and the polynomial of degree 5 whose largest error relative to e^r is least, 9e-8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> InRange(Vector512<float> x)
    {
        var rounded = Vector512.FusedMultiplyAdd(x, Vector512.Create(1.44269504f), Vector512.Create(Rounding));
        var n = rounded - Vector512.Create(Rounding);
        // ln 2 in two parts: what the first has too much.
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693147182f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(1.90465421e-9f), r);
        var sum = Vector512.FusedMultiplyAdd(r, Vector512.Create(0.008290306123f), Vector512.Create(0.041897976316f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(0.166676365883f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(0.499991491856f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(0.999999707011f));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512<float>.One);
        // n is added to the exponent; of Rounding's own bits none are left.
        return (sum.AsInt32() + (rounded.AsInt32() << 23)).AsSingle();
    }
}
