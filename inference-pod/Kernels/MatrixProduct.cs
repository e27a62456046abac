using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Kernels;

/// <summary>
/// y = x W^T (+ bias) with x [rows, k] and W [n, k] row-major, W in fp32 or bf16, sums in fp32.
/// <para>
/// Every element is one chain of fused multiply-adds over sixteen lanes in the order of k, then the sum of the lanes,
/// then the remainder of k one by one, whatever the number of rows and whichever tile it falls in. A row's result is
/// therefore bitwise the same alone, in a batch and in any chunk of a prefill, which general matrix libraries do not
/// promise: they choose another summation order for one row than for many.
/// </para>
/// <para>
/// The loops are compiled for speed at once instead of in tiers: the first prompt would otherwise run ten times slower.
/// </para>
/// </summary>
internal static unsafe class MatrixProduct
{
    private const int Lanes = 16;

    /// <summary>Rows of x that are kept in cache while a strip of W passes.</summary>
    private const int RowBlock = 32;

    /// <summary>Computes rows [0, rows) and columns [from, to) of y.</summary>
    /// <param name="x">Input.</param>
    /// <param name="xStride">Elements from one row of x to the next.</param>
    /// <param name="w">Weights; row j begins at element j * k.</param>
    /// <param name="bias">One value per column, or null.</param>
    /// <param name="y">Output.</param>
    /// <param name="yStride">Elements from one row of y to the next.</param>
    /// <param name="rows">Rows of x and y.</param>
    /// <param name="from">First column of y, a row of W.</param>
    /// <param name="to">End of the columns.</param>
    /// <param name="k">Elements of a row of x and W.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<T>(float* x, nint xStride, byte* w, float* bias, float* y, nint yStride, int rows, int from, int to, int k)
        where T : struct, IWeightLoader
    {
        for (int r0 = 0; r0 < rows; r0 += RowBlock)
        {
            int r1 = Math.Min(rows, r0 + RowBlock);
            int j = from;
            for (; j + 4 <= to; j += 4)
            {
                byte* strip = w + (nint)j * k * T.Bytes;
                float b0 = 0, b1 = 0, b2 = 0, b3 = 0;
                if (bias != null)
                    (b0, b1, b2, b3) = (bias[j], bias[j + 1], bias[j + 2], bias[j + 3]);
                var biases = Vector128.Create(b0, b1, b2, b3);
                int i = r0;
                for (; i + 4 <= r1; i += 4)
                    Tile4x4<T>(x + i * xStride, xStride, strip, k, biases, y + i * yStride + j, yStride);
                for (; i < r1; i++)
                    Tile1x4<T>(x + i * xStride, strip, k, biases, y + i * yStride + j);
            }
            for (; j < to; j++)
            {
                for (int i = r0; i < r1; i++)
                    y[i * yStride + j] = Dot<T>(x + i * xStride, w + (nint)j * k * T.Bytes, k) + (bias != null ? bias[j] : 0);
            }
        }
    }

    /// <summary>The product of one row of x and one row of W, in the order that all tiles keep.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Dot<T>(float* x, byte* w, int k)
        where T : struct, IWeightLoader
    {
        var sum = Vector512<float>.Zero;
        int p = 0;
        for (; p + Lanes <= k; p += Lanes)
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(x + p), T.Load(w, p), sum);
        return Finish<T>(sum, x, w, p, k);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Finish<T>(Vector512<float> sum, float* x, byte* w, int p, int k)
        where T : struct, IWeightLoader
    {
        float total = Vector512.Sum(sum);
        for (; p < k; p++)
            total = MathF.FusedMultiplyAdd(x[p], T.Scalar(w, p), total);
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1x4<T>(float* x, byte* w, int k, Vector128<float> bias, float* y)
        where T : struct, IWeightLoader
    {
        nint row = k;
        byte* w1 = w + row * T.Bytes, w2 = w1 + row * T.Bytes, w3 = w2 + row * T.Bytes;
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        int p = 0;
        for (; p + Lanes <= k; p += Lanes)
        {
            var a = Vector512.Load(x + p);
            s0 = Vector512.FusedMultiplyAdd(a, T.Load(w, p), s0);
            s1 = Vector512.FusedMultiplyAdd(a, T.Load(w1, p), s1);
            s2 = Vector512.FusedMultiplyAdd(a, T.Load(w2, p), s2);
            s3 = Vector512.FusedMultiplyAdd(a, T.Load(w3, p), s3);
        }
        y[0] = Finish<T>(s0, x, w, p, k) + bias[0];
        y[1] = Finish<T>(s1, x, w1, p, k) + bias[1];
        y[2] = Finish<T>(s2, x, w2, p, k) + bias[2];
        y[3] = Finish<T>(s3, x, w3, p, k) + bias[3];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x4<T>(float* x, nint xStride, byte* w, int k, Vector128<float> bias, float* y, nint yStride)
        where T : struct, IWeightLoader
    {
        nint row = k;
        byte* w1 = w + row * T.Bytes, w2 = w1 + row * T.Bytes, w3 = w2 + row * T.Bytes;
        float* x1 = x + xStride, x2 = x1 + xStride, x3 = x2 + xStride;
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default;
        Vector512<float> s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default;
        Vector512<float> s30 = default, s31 = default, s32 = default, s33 = default;
        int p = 0;
        for (; p + Lanes <= k; p += Lanes)
        {
            var b0 = T.Load(w, p);
            var b1 = T.Load(w1, p);
            var b2 = T.Load(w2, p);
            var b3 = T.Load(w3, p);
            var a = Vector512.Load(x + p);
            s00 = Vector512.FusedMultiplyAdd(a, b0, s00);
            s01 = Vector512.FusedMultiplyAdd(a, b1, s01);
            s02 = Vector512.FusedMultiplyAdd(a, b2, s02);
            s03 = Vector512.FusedMultiplyAdd(a, b3, s03);
            a = Vector512.Load(x1 + p);
            s10 = Vector512.FusedMultiplyAdd(a, b0, s10);
            s11 = Vector512.FusedMultiplyAdd(a, b1, s11);
            s12 = Vector512.FusedMultiplyAdd(a, b2, s12);
            s13 = Vector512.FusedMultiplyAdd(a, b3, s13);
            a = Vector512.Load(x2 + p);
            s20 = Vector512.FusedMultiplyAdd(a, b0, s20);
            s21 = Vector512.FusedMultiplyAdd(a, b1, s21);
            s22 = Vector512.FusedMultiplyAdd(a, b2, s22);
            s23 = Vector512.FusedMultiplyAdd(a, b3, s23);
            a = Vector512.Load(x3 + p);
            s30 = Vector512.FusedMultiplyAdd(a, b0, s30);
            s31 = Vector512.FusedMultiplyAdd(a, b1, s31);
            s32 = Vector512.FusedMultiplyAdd(a, b2, s32);
            s33 = Vector512.FusedMultiplyAdd(a, b3, s33);
        }
        Store<T>(y, s00, s01, s02, s03, x, w, p, k, bias);
        Store<T>(y + yStride, s10, s11, s12, s13, x1, w, p, k, bias);
        Store<T>(y + 2 * yStride, s20, s21, s22, s23, x2, w, p, k, bias);
        Store<T>(y + 3 * yStride, s30, s31, s32, s33, x3, w, p, k, bias);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<T>(float* y, Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3, float* x, byte* w, int p, int k, Vector128<float> bias)
        where T : struct, IWeightLoader
    {
        nint row = (nint)k * T.Bytes;
        y[0] = Finish<T>(s0, x, w, p, k) + bias[0];
        y[1] = Finish<T>(s1, x, w + row, p, k) + bias[1];
        y[2] = Finish<T>(s2, x, w + 2 * row, p, k) + bias[2];
        y[3] = Finish<T>(s3, x, w + 3 * row, p, k) + bias[3];
    }
}
