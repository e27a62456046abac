using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Kernels;

/// <summary>
/// exp(x * scale) of numbers that are not above 0, for many of one scale: to about 2e-7 of a scale that is rounded to fp32, the same bits
/// on every machine, exactly 1 at 0. Powers of two in steps of 1/32 come from a table, and a polynomial of degree 2 does the rest: half the
/// multiplications of <see cref="Exponential"/>.
/// </summary>
internal readonly struct ScaledExponential
{
    /// <summary>Adding it rounds to 1/32, whose number is then in the lowest bits: 1.5 times 2^18.</summary>
    private const float Rounding = 393_216;

    /// <summary>e^x = 1 + x + x^2/2 for x to ln 2 / 64, with a slope that makes the largest error, 5e-8, least; in powers of two.</summary>
    private const float Slope = 0.693157343f, Curve = 0.240226507f;

    /// <summary>2^(i/32) without the bits that adding i in steps of 1/32 to the exponent brings along.</summary>
    private static readonly int[] Steps = [.. Enumerable.Range(0, 32).Select(i => BitConverter.SingleToInt32Bits((float)Math.Pow(2, i / 32.0)) - (i << 18))];

    private static readonly Vector512<int> Low = Vector512.Create(Steps), High = Vector512.Create(Steps, 16);

    private readonly float _least, _factor;

    /// <param name="scale">Above 0, to 1e30.</param>
    /// <param name="least">Results below it are 0; from 0 to 1.</param>
    public ScaledExponential(double scale, double least)
    {
        _factor = (float)(scale / Math.Log(2));
        _least = (float)Math.Max(Math.Max(Exponential.Least, Math.Log(least)) / scale, float.MinValue);
    }

    /// <summary>exp(x * scale); 0 for NaN, and where it is below the least or exp(<see cref="Exponential.Least"/>).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Of(Vector512<float> x)
    {
        var factor = Vector512.Create(_factor);
        var rounded = Vector512.FusedMultiplyAdd(x, factor, Vector512.Create(Rounding));
        var r = Vector512.FusedMultiplyAdd(x, factor, Vector512.Create(Rounding) - rounded);
        var power = (Step(rounded.AsInt32()) + (rounded.AsInt32() << 18)).AsSingle();
        var series = Vector512.FusedMultiplyAdd(r, Vector512.FusedMultiplyAdd(r, Vector512.Create(Curve), Vector512.Create(Slope)), Vector512<float>.One);
        // A comparison with NaN is false.
        return Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(x, Vector512.Create(_least)), power * series, Vector512<float>.Zero);
    }

    /// <summary>The table at the lowest five bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Step(Vector512<int> index)
    {
        if (Avx512F.IsSupported)
            return Avx512F.PermuteVar16x32x2(Low, index, High);
        var at = index & Vector512.Create(31);
        var result = Vector512<int>.Zero;
        ref var steps = ref MemoryMarshal.GetArrayDataReference(Steps);
        for (var lane = 0; lane < 16; lane++)
            result = result.WithElement(lane, Unsafe.Add(ref steps, at[lane]));
        return result;
    }
}
