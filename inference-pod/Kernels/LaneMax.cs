using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Kernels;

/// <summary>The larger of numbers; what is no number is never the larger.</summary>
internal static class LaneMax
{
    /// <summary>The larger of each lane; <paramref name="most"/> where the other is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Larger(Vector512<float> most, Vector512<float> part) =>
        // The instruction answers with its second operand where one is NaN: the same in one step.
        Avx512F.IsSupported ? Avx512F.Max(part, most) : Vector512.ConditionalSelect(Vector512.GreaterThan(part, most), part, most);

    /// <summary>The largest lane of what <see cref="Larger"/> has made from minus infinity: none is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float One(Vector512<float> most)
    {
        var eight = most.GetLower();
        var upper = most.GetUpper();
        eight = Vector256.ConditionalSelect(Vector256.GreaterThan(upper, eight), upper, eight);
        var best = float.NegativeInfinity;
        var four = Vector128.ConditionalSelect(Vector128.GreaterThan(eight.GetUpper(), eight.GetLower()), eight.GetUpper(), eight.GetLower());
        for (var lane = 0; lane < 4; lane++)
            best = four[lane] > best ? four[lane] : best;
        return best;
    }
}
