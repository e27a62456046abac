using Moebius.Crds.V1Alpha1;

namespace Moebius.Cxl.Policy;

/// <summary>
/// Chooses a strategy by its measured effect: tries each in turn, keeps the best, and tries again now and then. A change
/// needs a gain beyond the margin, so that noise moves nothing.
/// </summary>
/// <param name="candidates">The strategies, the first one to begin with.</param>
/// <param name="holdWindows">Windows for which a choice stands.</param>
/// <param name="trialWindows">Windows over which a strategy is measured; their median counts.</param>
/// <param name="settleWindows">Windows after a change that still show the strategy before.</param>
internal sealed class AutoSelector(IReadOnlyList<MemoryStrategy> candidates, int holdWindows = 60, int trialWindows = 1, int settleWindows = 0)
{
    /// <summary>Relative gain that a change needs.</summary>
    internal const double Margin = 0.03;

    private readonly Dictionary<MemoryStrategy, double> measured = [];
    private MemoryStrategy chosen = candidates[0];
    private readonly List<double> windows = [];
    private int trial;
    private int held;
    private int settled;

    /// <summary>The strategy for the next window.</summary>
    public MemoryStrategy Current => trial < candidates.Count ? candidates[trial] : chosen;

    /// <summary>Why the strategy is what it is, with the figures.</summary>
    public string Reason { get; private set; } = "measuring each strategy";

    /// <summary>Takes the bandwidth that the window with <see cref="Current"/> reached.</summary>
    public void Measured(double bandwidth)
    {
        if (trial < candidates.Count)
        {
            if (settled++ < settleWindows)
                return;
            windows.Add(bandwidth);
            if (windows.Count < trialWindows)
                return;
            windows.Sort();
            measured[candidates[trial++]] = windows[windows.Count / 2];
            windows.Clear();
            settled = 0;
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
