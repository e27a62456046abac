using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Experts;

/// <summary>
/// Where the parts of one expert lie in its buffer: gate and up [intermediate, hidden] and down [hidden, intermediate]
/// in the resident type, then fp32 biases where the family has them. All experts of a model share one layout, so a
/// freed buffer fits any expert and the budget has no fragments.
/// </summary>
internal sealed record ExpertLayout
{
    /// <summary>Cache line and vector size.</summary>
    private const int Alignment = 64;

    public ExpertLayout(int hidden, int intermediate, TensorType type, bool biases)
    {
        Hidden = hidden;
        Intermediate = intermediate;
        Type = type;
        HasBiases = biases;
        long at = 0;
        Gate = Place((long)hidden * intermediate * type.Bytes());
        Up = Place((long)hidden * intermediate * type.Bytes());
        Down = Place((long)hidden * intermediate * type.Bytes());
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

    /// <summary>BF16 or F32.</summary>
    public TensorType Type { get; }

    public bool HasBiases { get; }

    public long Gate { get; }

    public long Up { get; }

    public long Down { get; }

    public long GateBias { get; }

    public long UpBias { get; }

    public long DownBias { get; }

    /// <summary>Bytes of a buffer, a multiple of what one direct read needs.</summary>
    public long Bytes { get; }
}
