using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Kernels;

/// <summary>How a kernel reads weights of one stored type as fp32. Both readings are exact.</summary>
internal unsafe interface IWeightLoader
{
    static abstract int Bytes { get; }

    /// <summary>Sixteen consecutive weights from element <paramref name="index"/>.</summary>
    static abstract Vector512<float> Load(byte* weights, nint index);

    static abstract float Scalar(byte* weights, nint index);
}

internal readonly unsafe struct Float32Weights : IWeightLoader
{
    public static int Bytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* weights, nint index) => Vector512.Load((float*)weights + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Scalar(byte* weights, nint index) => ((float*)weights)[index];
}

internal readonly unsafe struct BFloat16Weights : IWeightLoader
{
    public static int Bytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* weights, nint index)
    {
        var half = Vector256.Load((ushort*)weights + index);
        var wide = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512UInt32(half)
            : Vector512.Create(Vector256.WidenLower(half), Vector256.WidenUpper(half));
        return Vector512.ShiftLeft(wide, 16).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Scalar(byte* weights, nint index) => BitConverter.UInt32BitsToSingle((uint)((ushort*)weights)[index] << 16);
}
