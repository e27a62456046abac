using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moebius.Inference.Kernels;

/// <summary>32 signed bytes, then their scale in bf16: a weight is byte * scale, rounded to fp32.</summary>
internal readonly unsafe struct Int8Weights : IWeightLoader
{
    public static int GroupBytes => 34;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* group) => Widen((sbyte*)group) * QuantizedScale.Load(group + 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* group) => Widen((sbyte*)group + 16) * QuantizedScale.Load(group + 32);

    public static void Tail(byte* group, int count, float* buffer)
    {
        var scale = BFloat16Weights.ToSingle(*(ushort*)(group + 32));
        for (var i = 0; i < count; i++)
            buffer[i] = ((sbyte*)group)[i] * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Widen(sbyte* values)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ConvertToVector512Single(Avx512F.ConvertToVector512Int32(Vector128.Load(values)));
        var (low, high) = Vector128.Widen(Vector128.Load(values));
        var (a, b) = Vector128.Widen(low);
        var (c, d) = Vector128.Widen(high);
        return Vector512.ConvertToSingle(Vector512.Create(Vector256.Create(a, b), Vector256.Create(c, d)));
    }
}

/// <summary>
/// 16 bytes whose low halves are the first sixteen weights and whose high halves the others, then the scale in bf16: a
/// weight is (half - 8) * scale, rounded to fp32.
/// </summary>
internal readonly unsafe struct Int4Weights : IWeightLoader
{
    public static int GroupBytes => 18;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* group) => Values(Widen(group)) * QuantizedScale.Load(group + 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* group) => Values(Vector512.ShiftRightLogical(Widen(group), 4)) * QuantizedScale.Load(group + 16);

    public static void Tail(byte* group, int count, float* buffer)
    {
        var scale = BFloat16Weights.ToSingle(*(ushort*)(group + 16));
        for (var i = 0; i < count; i++)
            buffer[i] = ((i < 16 ? group[i] & 15 : group[i - 16] >> 4) - 8) * scale;
    }

    /// <summary>The lowest four bits of each element, less 8. One look-up in a register, which takes no other bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Values(Vector512<int> indices)
    {
        if (Avx512F.IsSupported)
            return Avx512F.PermuteVar16x32(Vector512.Create(-8f, -7f, -6f, -5f, -4f, -3f, -2f, -1f, 0f, 1f, 2f, 3f, 4f, 5f, 6f, 7f), indices);
        return Vector512.ConvertToSingle((indices & Vector512.Create(15)) - Vector512.Create(8));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Widen(byte* values)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ConvertToVector512Int32(Vector128.Load(values));
        var (low, high) = Vector128.Widen(Vector128.Load(values));
        var (a, b) = Vector128.Widen(low);
        var (c, d) = Vector128.Widen(high);
        return Vector512.Create(Vector256.Create(a, b), Vector256.Create(c, d)).AsInt32();
    }
}

internal static unsafe class QuantizedScale
{
    /// <summary>In all lanes. It never leaves the vector registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* at) => Vector512.ShiftLeft(Vector512.Create(*(ushort*)at).AsUInt32(), 16).AsSingle();
}
