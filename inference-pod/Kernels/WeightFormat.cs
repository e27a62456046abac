namespace Moebius.Inference.Kernels;

/// <summary>How the rows of a matrix are stored in memory.</summary>
internal enum WeightFormat
{
    /// <summary>fp32.</summary>
    Float32,

    /// <summary>bf16, widened exactly as it is used.</summary>
    BFloat16,

    /// <summary>Groups of 32 8-bit integers with a bf16 scale: 8.5 bits a weight.</summary>
    Int8,

    /// <summary>Groups of 32 4-bit integers with a bf16 scale: 4.5 bits a weight.</summary>
    Int4,
}

internal static class WeightFormats
{
    /// <summary>Weights that a kernel takes in one step, and those that share a scale.</summary>
    public const int Group = 32;

    /// <summary>Bytes of a row of <paramref name="k"/> weights; quantised rows are padded to whole groups.</summary>
    public static long RowBytes(this WeightFormat format, long k) => format switch
    {
        WeightFormat.Float32 => 4 * k,
        WeightFormat.BFloat16 => 2 * k,
        WeightFormat.Int8 => (k + Group - 1) / Group * Int8Weights.GroupBytes,
        WeightFormat.Int4 => (k + Group - 1) / Group * Int4Weights.GroupBytes,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, null),
    };

    /// <summary>As in the names of files.</summary>
    public static string Name(this WeightFormat format) => format switch
    {
        WeightFormat.Float32 => "f32",
        WeightFormat.BFloat16 => "bf16",
        WeightFormat.Int8 => "int8",
        WeightFormat.Int4 => "int4",
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, null),
    };
}
