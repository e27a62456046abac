using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Kernels;

/// <summary>Rows of weights in memory, all of the same format.</summary>
/// <param name="Data">First row.</param>
/// <param name="Format">How a row is stored.</param>
/// <param name="RowBytes">Bytes from one row to the next.</param>
/// <param name="Bias">One value per row, or null.</param>
internal readonly unsafe record struct WeightRows(nint Data, WeightFormat Format, nint RowBytes, nint Bias)
{
    public static WeightRows Packed(byte* data, WeightFormat format, int k, float* bias) =>
        new((nint)data, format, (nint)format.RowBytes(k), (nint)bias);
}

/// <summary>
/// y = x W^T (+ bias) with x [rows, k] and W [n, k] row-major, sums in fp32. A row's result is bitwise the same alone,
/// in a batch and in any chunk of a prefill (<see cref="Tiles"/>), which general matrix libraries do not promise: they
/// choose another summation order for one row than for many.
/// </summary>
internal static unsafe class MatrixProduct
{
    /// <summary>Columns of y at whose multiples work is best divided.</summary>
    public const int Grain = 16;

    /// <summary>Rows of x that stay in the second-level cache while the rows of W pass.</summary>
    private const int RowBlock = 32;

    /// <summary>Computes rows [0, rows) and columns [from, to) of y.</summary>
    /// <param name="x">Input.</param>
    /// <param name="xStride">Elements from one row of x to the next.</param>
    /// <param name="w">Weights.</param>
    /// <param name="y">Output.</param>
    /// <param name="yStride">Elements from one row of y to the next.</param>
    /// <param name="rows">Rows of x and y.</param>
    /// <param name="from">First column of y, a row of W.</param>
    /// <param name="to">End of the columns.</param>
    /// <param name="k">Elements of a row of x and W.</param>
    /// <param name="index">For each row of y, its row of x; null where they are the same.</param>
    public static void Run(float* x, nint xStride, WeightRows w, float* y, nint yStride, int rows, int from, int to, int k, int* index = null)
    {
        switch (w.Format)
        {
            case WeightFormat.Float32:
                Run<Float32Weights>(x, xStride, w, y, yStride, rows, from, to, k, index);
                break;
            case WeightFormat.BFloat16:
                Run<BFloat16Weights>(x, xStride, w, y, yStride, rows, from, to, k, index);
                break;
            case WeightFormat.Int8:
                Run<Int8Weights>(x, xStride, w, y, yStride, rows, from, to, k, index);
                break;
            case WeightFormat.Int4:
                Run<Int4Weights>(x, xStride, w, y, yStride, rows, from, to, k, index);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(w), w.Format, null);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<T>(float* x, nint xStride, WeightRows w, float* y, nint yStride, int rows, int from, int to, int k, int* index)
        where T : struct, IWeightLoader
    {
        var data = (byte*)w.Data;
        var bias = (float*)w.Bias;
        var row = w.RowBytes;
        var j = from;
        var tiles = k % WeightFormats.Group == 0;
        if (rows == 1 && tiles)
        {
            var only = Row(0);
            for (; j + 16 <= to; j += 16)
            {
                var sums = Tiles.OneBySixteen<T>(only, data + j * row, row, k);
                (bias != null ? sums + Vector512.Load(bias + j) : sums).Store(y + j);
            }
        }
        var whole = tiles ? j + ((to - j) & ~3) : j;
        for (var r0 = 0; r0 < rows; r0 += RowBlock)
        {
            var r1 = Math.Min(rows, r0 + RowBlock);
            for (var c = j; c < whole; c += 4)
            {
                var strip = data + c * row;
                var biases = bias != null ? Vector128.Load(bias + c) : default;
                var i = r0;
                for (; i + 4 <= r1; i += 4)
                    Store(Tiles.ByFour<T, FourRows>(Row(i), Row(i + 1), Row(i + 2), Row(i + 3), strip, row, k), biases, 4, y + i * yStride + c, yStride);
                if (r1 - i == 3)
                    Store(Tiles.ByFour<T, ThreeRows>(Row(i), Row(i + 1), Row(i + 2), null, strip, row, k), biases, 3, y + i * yStride + c, yStride);
                else if (r1 - i == 2)
                    Store(Tiles.ByFour<T, TwoRows>(Row(i), Row(i + 1), null, null, strip, row, k), biases, 2, y + i * yStride + c, yStride);
                else if (r1 - i == 1)
                    Store(Tiles.ByFour<T, OneRow>(Row(i), null, null, null, strip, row, k), biases, 1, y + i * yStride + c, yStride);
            }
            for (var c = whole; c < to; c++)
            {
                for (var i = r0; i < r1; i++)
                    y[i * yStride + c] = Tiles.Dot<T>(Row(i), data + c * row, k) + (bias != null ? bias[c] : 0);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        float* Row(int i) => x + (index != null ? index[i] : i) * xStride;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> sums, Vector128<float> bias, int rows, float* y, nint yStride)
    {
        var low = sums.GetLower();
        (low.GetLower() + bias).Store(y);
        if (rows > 1)
            (low.GetUpper() + bias).Store(y + yStride);
        var high = sums.GetUpper();
        if (rows > 2)
            (high.GetLower() + bias).Store(y + 2 * yStride);
        if (rows > 3)
            (high.GetUpper() + bias).Store(y + 3 * yStride);
    }
}
