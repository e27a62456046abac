using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Kernels;

/// <summary>
/// Writes fp32 rows as <see cref="WeightFormat.Int8"/> or <see cref="WeightFormat.Int4"/>: symmetric groups of 32 along
/// the row, each with a scale in bf16.
/// </summary>
internal static class Quantizer
{
    private const int Group = WeightFormats.Group;

    /// <summary>
    /// What the largest value of a group of 4-bit weights may stand for, in steps from zero. The scale with the least
    /// squared error wins: less than 8 cuts the largest value off and makes the steps of all others finer.
    /// </summary>
    private static readonly float[] Steps = [8, 8.4f, 7.6f, 7.2f, 6.8f, 6.4f, 6, 5.6f, -8, -7.5f, -7, -6.5f, -6];

    /// <summary>Quantises one row.</summary>
    /// <param name="format">Int8 or Int4.</param>
    /// <param name="row">Finite weights.</param>
    /// <param name="destination">Exactly the format's bytes of such a row.</param>
    public static void Row(WeightFormat format, ReadOnlySpan<float> row, Span<byte> destination)
    {
        var bytes = (int)format.RowBytes(Group);
        Span<float> group = stackalloc float[Group];
        for (int at = 0, to = 0; at < row.Length; at += Group, to += bytes)
        {
            var part = row.Slice(at, Math.Min(Group, row.Length - at));
            group.Clear();
            part.CopyTo(group);
            if (format == WeightFormat.Int8)
                Int8(group, destination.Slice(to, bytes));
            else if (format == WeightFormat.Int4)
                Int4(group, destination.Slice(to, bytes));
            else
                throw new ArgumentOutOfRangeException(nameof(format), format, null);
        }
    }

    private static void Int8(Span<float> group, Span<byte> destination)
    {
        var bits = HalfTypes.ToBFloat16(MathF.Abs(Largest(group)) / 127);
        var scale = BFloat16Weights.ToSingle(bits);
        for (var i = 0; i < Group; i++)
            destination[i] = unchecked((byte)(sbyte)(scale == 0 ? 0 : Math.Clamp(MathF.Round(group[i] / scale), -127, 127)));
        MemoryMarshal.Write(destination[Group..], bits);
    }

    private static void Int4(Span<float> group, Span<byte> destination)
    {
        var largest = Largest(group);
        ushort best = 0;
        var least = float.PositiveInfinity;
        foreach (var steps in Steps)
        {
            // The negative side has one step more: the largest value goes there where nothing speaks against it.
            var bits = HalfTypes.ToBFloat16(largest / -steps);
            var error = SquaredError(group, BFloat16Weights.ToSingle(bits));
            if (error < least)
                (best, least) = (bits, error);
        }
        var scale = BFloat16Weights.ToSingle(best);
        for (var i = 0; i < Group / 2; i++)
            destination[i] = (byte)(Half(group[i], scale) | (Half(group[i + Group / 2], scale) << 4));
        MemoryMarshal.Write(destination[(Group / 2)..], best);
    }

    private static int Half(float weight, float scale) => scale == 0 ? 8 : (int)Math.Clamp(MathF.Round(weight / scale), -8, 7) + 8;

    private static float SquaredError(Span<float> group, float scale)
    {
        if (scale == 0)
            return 0;
        var sum = Vector512<float>.Zero;
        for (var i = 0; i < Group; i += 16)
        {
            var weights = Vector512.Create<float>(group.Slice(i, 16));
            var steps = Vector512.Min(Vector512.Max(Vector512.Round(weights / scale), Vector512.Create(-8f)), Vector512.Create(7f));
            var error = weights - steps * scale;
            sum = Vector512.FusedMultiplyAdd(error, error, sum);
        }
        return LaneSum.One(sum);
    }

    /// <summary>The value that is farthest from zero, with its sign.</summary>
    private static float Largest(Span<float> group)
    {
        float largest = 0;
        foreach (var weight in group)
            largest = MathF.Abs(weight) > MathF.Abs(largest) ? weight : largest;
        return largest;
    }
}
