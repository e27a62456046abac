using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Kernels;

/// <summary>
/// Products of a few rows of x with a few rows of W, their sums kept in registers. Every sum is one chain of fused
/// multiply-adds over sixteen lanes in the order of k (a last part that is not whole is filled with zeros), then
/// <see cref="LaneSum"/>, so that all tiles agree to the bit.
/// <para>
/// Compiled for speed at once instead of in tiers: the first prompt would otherwise run ten times slower. The tiles of
/// many sums call nothing, since a call anywhere in them makes the compiler keep sums in memory: three times slower.
/// That is why k must be a multiple of 32 there.
/// </para>
/// </summary>
internal static unsafe class Tiles
{
    private const int Step = WeightFormats.Group;

    /// <summary>Bytes that the processor fetches at once.</summary>
    private const int Line = 64;

    /// <summary>One row of x and one of W.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Dot<T>(float* x, byte* w, int k)
        where T : struct, IWeightLoader
    {
        var sum = Vector512<float>.Zero;
        var p = 0;
        for (; p + Step <= k; p += Step, w += T.GroupBytes)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(x + p), T.Low(w), sum);
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(x + p + 16), T.High(w), sum);
        }
        return LaneSum.One(p < k ? Rest<T>(sum, x + p, w, k - p) : sum);
    }

    /// <summary>One row of x and sixteen of W, <paramref name="row"/> bytes apart; k is a multiple of 32. Asks for the sixteen after them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Vector512<float> OneBySixteen<T>(float* x, byte* w, nint row, int k)
        where T : struct, IWeightLoader
    {
        byte* w0 = w, w4 = w + 4 * row, w8 = w + 8 * row, w12 = w + 12 * row;
        var next = w + 16 * row;
        var row3 = 3 * row;
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        Vector512<float> s8 = default, s9 = default, s10 = default, s11 = default, s12 = default, s13 = default, s14 = default, s15 = default;
        var p = 0;
        for (; p + Step <= k; p += Step)
        {
            Prefetch(next, 16 * T.GroupBytes);
            next += 16 * T.GroupBytes;
            var a = Vector512.Load(x + p);
            var b = Vector512.Load(x + p + 16);
            s0 = Add<T>(a, b, w0, s0);
            s1 = Add<T>(a, b, w0 + row, s1);
            s2 = Add<T>(a, b, w0 + 2 * row, s2);
            s3 = Add<T>(a, b, w0 + row3, s3);
            s4 = Add<T>(a, b, w4, s4);
            s5 = Add<T>(a, b, w4 + row, s5);
            s6 = Add<T>(a, b, w4 + 2 * row, s6);
            s7 = Add<T>(a, b, w4 + row3, s7);
            s8 = Add<T>(a, b, w8, s8);
            s9 = Add<T>(a, b, w8 + row, s9);
            s10 = Add<T>(a, b, w8 + 2 * row, s10);
            s11 = Add<T>(a, b, w8 + row3, s11);
            s12 = Add<T>(a, b, w12, s12);
            s13 = Add<T>(a, b, w12 + row, s13);
            s14 = Add<T>(a, b, w12 + 2 * row, s14);
            s15 = Add<T>(a, b, w12 + row3, s15);
            w0 += T.GroupBytes;
            w4 += T.GroupBytes;
            w8 += T.GroupBytes;
            w12 += T.GroupBytes;
        }
        return LaneSum.Sixteen(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15);
    }

    /// <summary>
    /// R rows of x and four of W; k is a multiple of 32. Quarter i of the result is row i of x with the four of W;
    /// quarters from R on mean nothing. Asks for the rows of W after the next four.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Vector512<float> ByFour<T, R>(float* x, float* x1, float* x2, float* x3, byte* w, nint row, int k)
        where T : struct, IWeightLoader
        where R : struct, ITileRows
    {
        byte* w1 = w + row, w2 = w + 2 * row, w3 = w + 3 * row;
        var next = w + 8 * row;
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default;
        Vector512<float> s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default;
        Vector512<float> s30 = default, s31 = default, s32 = default, s33 = default;
        var p = 0;
        for (; p + Step <= k; p += Step)
        {
            Prefetch(next, 4 * T.GroupBytes);
            next += 4 * T.GroupBytes;
            var b0 = T.Low(w);
            var b1 = T.Low(w1);
            var b2 = T.Low(w2);
            var b3 = T.Low(w3);
            var a = Vector512.Load(x + p);
            s00 = Vector512.FusedMultiplyAdd(a, b0, s00);
            s01 = Vector512.FusedMultiplyAdd(a, b1, s01);
            s02 = Vector512.FusedMultiplyAdd(a, b2, s02);
            s03 = Vector512.FusedMultiplyAdd(a, b3, s03);
            if (R.Count > 1)
            {
                var a1 = Vector512.Load(x1 + p);
                s10 = Vector512.FusedMultiplyAdd(a1, b0, s10);
                s11 = Vector512.FusedMultiplyAdd(a1, b1, s11);
                s12 = Vector512.FusedMultiplyAdd(a1, b2, s12);
                s13 = Vector512.FusedMultiplyAdd(a1, b3, s13);
            }
            if (R.Count > 2)
            {
                var a2 = Vector512.Load(x2 + p);
                s20 = Vector512.FusedMultiplyAdd(a2, b0, s20);
                s21 = Vector512.FusedMultiplyAdd(a2, b1, s21);
                s22 = Vector512.FusedMultiplyAdd(a2, b2, s22);
                s23 = Vector512.FusedMultiplyAdd(a2, b3, s23);
            }
            if (R.Count > 3)
            {
                var a3 = Vector512.Load(x3 + p);
                s30 = Vector512.FusedMultiplyAdd(a3, b0, s30);
                s31 = Vector512.FusedMultiplyAdd(a3, b1, s31);
                s32 = Vector512.FusedMultiplyAdd(a3, b2, s32);
                s33 = Vector512.FusedMultiplyAdd(a3, b3, s33);
            }
            b0 = T.High(w);
            b1 = T.High(w1);
            b2 = T.High(w2);
            b3 = T.High(w3);
            a = Vector512.Load(x + p + 16);
            s00 = Vector512.FusedMultiplyAdd(a, b0, s00);
            s01 = Vector512.FusedMultiplyAdd(a, b1, s01);
            s02 = Vector512.FusedMultiplyAdd(a, b2, s02);
            s03 = Vector512.FusedMultiplyAdd(a, b3, s03);
            if (R.Count > 1)
            {
                var a1 = Vector512.Load(x1 + p + 16);
                s10 = Vector512.FusedMultiplyAdd(a1, b0, s10);
                s11 = Vector512.FusedMultiplyAdd(a1, b1, s11);
                s12 = Vector512.FusedMultiplyAdd(a1, b2, s12);
                s13 = Vector512.FusedMultiplyAdd(a1, b3, s13);
            }
            if (R.Count > 2)
            {
                var a2 = Vector512.Load(x2 + p + 16);
                s20 = Vector512.FusedMultiplyAdd(a2, b0, s20);
                s21 = Vector512.FusedMultiplyAdd(a2, b1, s21);
                s22 = Vector512.FusedMultiplyAdd(a2, b2, s22);
                s23 = Vector512.FusedMultiplyAdd(a2, b3, s23);
            }
            if (R.Count > 3)
            {
                var a3 = Vector512.Load(x3 + p + 16);
                s30 = Vector512.FusedMultiplyAdd(a3, b0, s30);
                s31 = Vector512.FusedMultiplyAdd(a3, b1, s31);
                s32 = Vector512.FusedMultiplyAdd(a3, b2, s32);
                s33 = Vector512.FusedMultiplyAdd(a3, b3, s33);
            }
            w += T.GroupBytes;
            w1 += T.GroupBytes;
            w2 += T.GroupBytes;
            w3 += T.GroupBytes;
        }
        return LaneSum.Sixteen(s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add<T>(Vector512<float> a, Vector512<float> b, byte* w, Vector512<float> sum)
        where T : struct, IWeightLoader =>
        Vector512.FusedMultiplyAdd(b, T.High(w), Vector512.FusedMultiplyAdd(a, T.Low(w), sum));

    /// <summary>The end of a row: fewer than 32 elements, filled up with zeros.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> Rest<T>(Vector512<float> sum, float* x, byte* w, int count)
        where T : struct, IWeightLoader
    {
        var buffer = stackalloc float[2 * Step];
        new Span<float>(buffer, 2 * Step).Clear();
        T.Tail(w, count, buffer);
        var own = buffer + Step;
        for (var i = 0; i < count; i++)
            own[i] = x[i];
        sum = Vector512.FusedMultiplyAdd(Vector512.Load(own), Vector512.Load(buffer), sum);
        return count > 16 ? Vector512.FusedMultiplyAdd(Vector512.Load(own + 16), Vector512.Load(buffer + 16), sum) : sum;
    }

    /// <summary>Brings memory that is read next into the cache. The processor's own guess ends at each page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* at, int bytes)
    {
        // Written out: the compiler knows the number of bytes, but would not unroll a loop.
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch1(at);
        if (bytes > 1 * Line)
            Sse.Prefetch1(at + 1 * Line);
        if (bytes > 2 * Line)
            Sse.Prefetch1(at + 2 * Line);
        if (bytes > 3 * Line)
            Sse.Prefetch1(at + 3 * Line);
        if (bytes > 4 * Line)
            Sse.Prefetch1(at + 4 * Line);
        if (bytes > 5 * Line)
            Sse.Prefetch1(at + 5 * Line);
        if (bytes > 6 * Line)
            Sse.Prefetch1(at + 6 * Line);
        if (bytes > 7 * Line)
            Sse.Prefetch1(at + 7 * Line);
        for (var i = 8 * Line; i < bytes; i += Line)
            Sse.Prefetch1(at + i);
    }
}

/// <summary>A number of rows that the compiler knows.</summary>
internal interface ITileRows
{
    static abstract int Count { get; }
}

internal readonly struct OneRow : ITileRows
{
    public static int Count => 1;
}

internal readonly struct TwoRows : ITileRows
{
    public static int Count => 2;
}

internal readonly struct ThreeRows : ITileRows
{
    public static int Count => 3;
}

internal readonly struct FourRows : ITileRows
{
    public static int Count => 4;
}
