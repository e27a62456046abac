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

    public ExpertLayout(int hidden, int intermediate, WeightFormat format, bool biases)
    {
        Hidden = hidden;
        Intermediate = intermediate;
        Format = format;
        HasBiases = biases;
        long at = 0;
        Gate = Place(intermediate * format.RowBytes(hidden));
        Up = Place(intermediate * format.RowBytes(hidden));
        Down = Place(hidden * format.RowBytes(intermediate));
        GateBias = Place(biases ? 4L * intermediate : 0);
        UpBias = Place(biases ? 4L * intermediate : 0);
        DownBias = Place(biases ? 4L * hidden : 0);
        Bytes = (at + Storage.DirectFile.Alignment - 1) / Storage.DirectFile.Alignment * Storage.DirectFile.Alignment;

        long Place(long bytes)
        {
            long start = at;
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

    /// <summary>The matrices in a buffer, for the rows that pass through them.</summary>
    public GatedWeights Weights(byte* buffer, int first, int count) => new(
        WeightRows.Packed(buffer + Gate, Format, Hidden, HasBiases ? (float*)(buffer + GateBias) : null),
        WeightRows.Packed(buffer + Up, Format, Hidden, HasBiases ? (float*)(buffer + UpBias) : null),
        WeightRows.Packed(buffer + Down, Format, Intermediate, HasBiases ? (float*)(buffer + DownBias) : null),
        first,
        count);
}
