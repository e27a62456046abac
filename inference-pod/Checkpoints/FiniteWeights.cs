using System.Numerics;
using System.Runtime.InteropServices;
using Moebius.Crds;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// Refuses weights that are NaN or infinite: one of them makes every logit that it reaches NaN, and an answer out of
/// nothing looks like an answer. The check reads what was just read from the file, a vector at a time.
/// </summary>
internal static class FiniteWeights
{
    /// <summary>How many values are NaN or infinite: those whose exponent bits are all ones.</summary>
    public static long CountOthers(ReadOnlySpan<byte> raw, TensorType type) => type switch
    {
        TensorType.BF16 => CountOthers<ushort>(MemoryMarshal.Cast<byte, ushort>(raw), 0x7F80),
        TensorType.F16 => CountOthers<ushort>(MemoryMarshal.Cast<byte, ushort>(raw), 0x7C00),
        TensorType.F32 => CountOthers(MemoryMarshal.Cast<byte, uint>(raw), 0x7F80_0000u),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "weights are F32, F16 or BF16"),
    };

    /// <param name="path">The file.</param>
    /// <param name="name">The tensor.</param>
    /// <param name="others">How many values are not finite.</param>
    /// <param name="values">Of how many.</param>
    /// <exception cref="UserInputException">There are any.</exception>
    public static void Check(string path, string name, long others, long values)
    {
        if (others > 0)
            throw new UserInputException($"{path}: tensor \"{name}\": {others} of {values} values are NaN or infinite; all weights must be finite numbers");
    }

    private static long CountOthers<T>(ReadOnlySpan<T> values, T exponent)
        where T : unmanaged, IBinaryInteger<T>
    {
        long others = 0;
        var ones = new Vector<T>(exponent);
        var at = 0;
        for (; at <= values.Length - Vector<T>.Count; at += Vector<T>.Count)
        {
            if (Vector.EqualsAny(new Vector<T>(values[at..]) & ones, ones))
                others += CountEach(values.Slice(at, Vector<T>.Count), exponent);
        }
        return others + CountEach(values[at..], exponent);
    }

    private static long CountEach<T>(ReadOnlySpan<T> values, T exponent)
        where T : unmanaged, IBinaryInteger<T>
    {
        long others = 0;
        foreach (var value in values)
            others += (value & exponent) == exponent ? 1 : 0;
        return others;
    }
}
