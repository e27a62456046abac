using Moebius.Crds.V1Alpha1;

namespace Moebius.Cxl.Policy;

/// <summary>What is known about a cgroup's mix.</summary>
/// <param name="Class">The class it is in; Unknown until it has shown enough traffic.</param>
/// <param name="ReadShare">Smoothed share of reads, 0 to 1; null before the first traffic.</param>
internal readonly record struct MixState(MemoryIntent Class, double? ReadShare);

/// <summary>
/// Classes an unhinted cgroup by its own counters: a reader above one share of reads, a writer below another, balanced
/// between. A class once given is left only when the share has crossed back by a margin, so that a mix near a threshold
/// does not flap.
/// </summary>
/// <param name="readerAbove">Share of reads, 0 to 1, above which a cgroup is a reader.</param>
/// <param name="writerBelow">Share of reads, 0 to 1, below which a cgroup is a writer.</param>
internal sealed class MixClassifier(double readerAbove, double writerBelow)
{
    /// <summary>How far back over a threshold the share must go.</summary>
    internal const double Margin = 0.05;

    /// <summary>Reads plus writes in an interval below which nothing is concluded.</summary>
    internal const ulong MinimumEvents = 32;

    private const double Smoothing = 0.3;

    /// <summary>The state after an interval with these reads and writes.</summary>
    public MixState Next(MixState state, ulong reads, ulong writes)
    {
        var events = reads + writes;
        if (events < MinimumEvents)
            return state;
        var now = (double)reads / events;
        var share = state.ReadShare is { } before ? before + Smoothing * (now - before) : now;
        return new MixState(Classify(state.Class, share), share);
    }

    private MemoryIntent Classify(MemoryIntent current, double share)
    {
        if (share > readerAbove)
            return MemoryIntent.ReadHeavy;
        if (share < writerBelow)
            return MemoryIntent.WriteHeavy;
        return current switch
        {
            MemoryIntent.ReadHeavy when share > readerAbove - Margin => MemoryIntent.ReadHeavy,
            MemoryIntent.WriteHeavy when share < writerBelow + Margin => MemoryIntent.WriteHeavy,
            _ => MemoryIntent.Balanced,
        };
    }
}
