using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Kernels;

/// <summary>Exponentials for softmaxes: of numbers that are not above 0, to about 1e-7, the same bits on every machine.</summary>
internal static class Exponential
{
    /// <summary>Below this, an exponential counts as 0: fp32 has no smaller normal numbers.</summary>
    public const float Least = -87;

    /// <summary>Adding it rounds to a whole number, which is then in the lowest bits: 1.5 times 2^23.</summary>
    private const float Rounding = 12_582_912;

    /// <summary>
    /// exp(x) for x from <see cref="Least"/> to 0, exactly 1 at 0, and 0 below; NaN stays NaN. 2^n e^r with x = n ln 2 + r,
    /// and Taylor's series of e^r.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Of(Vector512<float> x)
    {
        var rounded = (x * 1.44269504f) + Vector512.Create(Rounding);
        var n = rounded - Vector512.Create(Rounding);
        // ln 2 in two parts: the products with the first are exact.
        var r = x - (n * 0.693359375f) - (n * -2.12194440e-4f);
        var sum = (r * (1f / 5040)) + Vector512.Create(1f / 720);
        sum = (sum * r) + Vector512.Create(1f / 120);
        sum = (sum * r) + Vector512.Create(1f / 24);
        sum = (sum * r) + Vector512.Create(1f / 6);
        sum = (sum * r) + Vector512.Create(0.5f);
        sum = (sum * r) + Vector512<float>.One;
        sum = (sum * r) + Vector512<float>.One;
        var power = (rounded.AsInt32() + Vector512.Create(127)) << 23;
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(Least)), Vector512<float>.Zero, sum * power.AsSingle());
    }
}
