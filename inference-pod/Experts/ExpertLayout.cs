using Moebius.Inference.Kernels;

namespace Moebius.Inference.Experts;

/// <summary>
/// Where the parts of one expert lie in its buffer: gate and up [intermediate, hidden] and down [hidden, intermediate]
/// in the resident format, then fp32 biases where the family has them. All experts of a model share one layout, so a
/// freed buffer fits any expert and the budget has no fragments.
/// </summary>
internal sealed unsafe record ExpertLayout
{
    /// <summary>Cache line and vector size.</summary>
    private const int Alignment = 64;

    private readonly nint _row, _downRow;

    public ExpertLayout(int hidden, int intermediate, WeightFormat format, bool biases)
    {
        Hidden = hidden;
        Intermediate = intermediate;
        Format = format;
        HasBiases = biases;
        (_row, _downRow) = ((nint)format.RowBytes(hidden), (nint)format.RowBytes(intermediate));
        long at = 0;
        Gate = Place(intermediate * _row);
        Up = Place(intermediate * _row);
        Down = Place(hidden * _downRow);
        GateBias = Place(biases ? 4L * intermediate : 0);
        UpBias = Place(biases ? 4L * intermediate : 0);
        DownBias = Place(biases ? 4L * hidden : 0);
        Bytes = (at + Storage.DirectFile.Alignment - 1) / Storage.DirectFile.Alignment * Storage.DirectFile.Alignment;

        long Place(long bytes)
        {
            var start = at;
            at = (at + bytes + Alignment - 1) / Alignment * Alignment;
            return start;
        }
    }

    public int Hidden { get; }

    public int Intermediate { get; }

    /// <summary>How the rows of the three matrices are stored.</summary>
    public WeightFormat Format { get; }

    public bool HasBiases { get; }

    public long Gate { get; }

    public long Up { get; }

    public long Down { get; }

    public long GateBias { get; }

    public long UpBias { get; }

    public long DownBias { get; }

    /// <summary>Bytes of a buffer, a multiple of what one direct read needs.</summary>
    public long Bytes { get; }

    /// <summary>The matrices in a buffer.</summary>
    public GatedMatrices Matrices(byte* buffer) => new(
        new WeightRows((nint)buffer + (nint)Gate, Format, _row, HasBiases ? (nint)buffer + (nint)GateBias : 0),
        new WeightRows((nint)buffer + (nint)Up, Format, _row, HasBiases ? (nint)buffer + (nint)UpBias : 0),
        new WeightRows((nint)buffer + (nint)Down, Format, _downRow, HasBiases ? (nint)buffer + (nint)DownBias : 0));
}
