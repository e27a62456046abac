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

    private readonly Dictionary<MemoryStrategy, double> _measured = [];
    private MemoryStrategy _chosen = candidates[0];
    private readonly List<double> _windows = [];
    private int _trial;
    private int _held;
    private int _settled;

    /// <summary>The strategy for the next window.</summary>
    public MemoryStrategy Current => _trial < candidates.Count ? candidates[_trial] : _chosen;

    /// <summary>Why the strategy is what it is, with the figures.</summary>
    public string Reason { get; private set; } = "measuring each strategy";

    /// <summary>Takes the bandwidth that the window with <see cref="Current"/> reached.</summary>
    public void Measured(double bandwidth)
    {
        if (_trial < candidates.Count)
        {
            if (_settled++ < settleWindows)
                return;
            _windows.Add(bandwidth);
            if (_windows.Count < trialWindows)
                return;
            _windows.Sort();
            _measured[candidates[_trial++]] = _windows[_windows.Count / 2];
            _windows.Clear();
            _settled = 0;
            if (_trial == candidates.Count)
                Choose();
        }
        else if (++_held >= holdWindows)
        {
            (_trial, _held) = (0, 0);
            Reason = "measuring each strategy again";
        }
    }

    private void Choose()
    {
        var best = candidates.MaxBy(candidate => _measured[candidate]);
        var gain = _measured[best] / Math.Max(_measured[_chosen], double.Epsilon) - 1;
        if (best != _chosen && gain > Margin)
        {
            Reason = $"{best} carried {gain * 100:F1}% more than {_chosen}";
            _chosen = best;
        }
        else
        {
            Reason = $"no strategy carried over {Margin * 100:F0}% more than {_chosen}";
        }
    }
}
