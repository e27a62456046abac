using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Kernels;

/// <summary>
/// How a kernel reads weights of one format as fp32, 32 at a time. A format has one reading, the same in every kernel:
/// a product with quantised weights is bit for bit the product with what they stand for.
/// </summary>
internal unsafe interface IWeightLoader
{
    /// <summary>Bytes of 32 weights.</summary>
    static abstract int GroupBytes { get; }

    /// <summary>The first sixteen weights of a group.</summary>
    static abstract Vector512<float> Low(byte* group);

    /// <summary>The other sixteen.</summary>
    static abstract Vector512<float> High(byte* group);

    /// <summary>The first <paramref name="count"/> weights (below 32) of a row's last group into a cleared buffer of 32.</summary>
    static abstract void Tail(byte* group, int count, float* buffer);
}

internal readonly unsafe struct Float32Weights : IWeightLoader
{
    public static int GroupBytes => 128;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* group) => Vector512.Load((float*)group);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* group) => Vector512.Load((float*)group + 16);

    public static void Tail(byte* group, int count, float* buffer)
    {
        for (var i = 0; i < count; i++)
            buffer[i] = ((float*)group)[i];
    }
}

internal readonly unsafe struct BFloat16Weights : IWeightLoader
{
    public static int GroupBytes => 64;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* group) => Widen(Vector256.Load((ushort*)group));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* group) => Widen(Vector256.Load((ushort*)group + 16));

    public static void Tail(byte* group, int count, float* buffer)
    {
        for (var i = 0; i < count; i++)
            buffer[i] = ToSingle(((ushort*)group)[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Widen(Vector256<ushort> half)
    {
        var wide = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512UInt32(half)
            : Vector512.Create(Vector256.WidenLower(half), Vector256.WidenUpper(half));
        return Vector512.ShiftLeft(wide, 16).AsSingle();
    }
}
