using Moebius.Crds.V1Alpha1;

namespace Moebius.Cxl.Policy;

/// <summary>
/// Chooses a strategy by its measured effect: tries each in turn, keeps the best, and tries again now and then. A change
/// needs a gain beyond the margin, so that noise moves nothing.
/// </summary>
internal sealed class AutoSelector(IReadOnlyList<MemoryStrategy> candidates, int holdWindows = 60)
{
    /// <summary>Relative gain that a change needs.</summary>
    internal const double Margin = 0.03;

    private readonly Dictionary<MemoryStrategy, double> measured = [];
    private MemoryStrategy chosen = candidates[0];
    private int trial;
    private int held;

    /// <summary>The strategy for the next window.</summary>
    public MemoryStrategy Current => trial < candidates.Count ? candidates[trial] : chosen;

    /// <summary>Why the strategy is what it is, with the figures.</summary>
    public string Reason { get; private set; } = "measuring each strategy";

    /// <summary>Takes the bandwidth that the window with <see cref="Current"/> reached.</summary>
    public void Measured(double bandwidth)
    {
        if (trial < candidates.Count)
        {
            measured[candidates[trial++]] = bandwidth;
            if (trial == candidates.Count)
                Choose();
        }
        else if (++held >= holdWindows)
        {
            (trial, held) = (0, 0);
            Reason = "measuring each strategy again";
        }
    }

    private void Choose()
    {
        var best = candidates.MaxBy(candidate => measured[candidate]);
        var gain = measured[best] / Math.Max(measured[chosen], double.Epsilon) - 1;
        if (best != chosen && gain > Margin)
        {
            Reason = $"{best} carried {gain * 100:F1}% more than {chosen}";
            chosen = best;
        }
        else
        {
            Reason = $"no strategy carried over {Margin * 100:F0}% more than {chosen}";
        }
    }
}
