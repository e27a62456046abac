using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Agent;

/// <summary>
/// Holds the kernel's interleave weights for as long as the agent runs, and puts back what an agent left that was killed.
/// Disposing lets go without putting anything back: <see cref="Restore"/> does that.
/// </summary>
internal sealed class InterleaveKeeper(AgentOptions options) : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private WeightRecord? _record;
    private WeightedInterleave? _interleave;

    /// <summary>The weights that this agent has set; null if it has set none.</summary>
    public IReadOnlyDictionary<int, int>? Weights { get; private set; }

    /// <summary>
    /// Puts back what an agent left that was killed. Gives a text for people, null if there was nothing to do. While another
    /// agent runs, the weights are its own.
    /// </summary>
    /// <exception cref="IOException">What was left cannot be put back.</exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    public string? RestoreLeft()
    {
        if (!WeightRecord.Exists(options.State))
            return null;
        using var opened = WeightRecord.TryOpen(options.State, options.Procfs);
        return opened is not null && new WeightedInterleave(options.Sysfs, opened).RestoreLeft() is { } left
            ? $"interleave weights of an agent that was killed were put back: {Format(left)}"
            : null;
    }

    /// <summary>Sets weights in place of those set before. Gives what stood in the way; null if nothing did.</summary>
    public LevelObstacle? Apply(IReadOnlyDictionary<int, int> weights)
    {
        try
        {
            for (var waited = TimeSpan.Zero; _record is null; waited += Pause)
            {
                _record = WeightRecord.TryOpen(options.State, options.Procfs);
                if (_record is not null)
                    break;
                if (waited >= options.Patience)
                    return new LevelObstacle(SchedulingLevel.Interleave, "OtherAgentRunning", $"another node agent holds the weights ({options.State}); there is one per machine");
                Thread.Sleep(Pause);
            }

            if (_interleave is null)
            {
                // An agent that was killed since this one began leaves weights, too: they are not what is to be found here.
                var interleave = new WeightedInterleave(options.Sysfs, _record);
                interleave.RestoreLeft();
                _interleave = interleave;
            }

            _interleave.Apply(weights);
            Weights = weights;
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return new LevelObstacle(SchedulingLevel.Interleave, "InterleaveRefused", error.Message);
        }
    }

    /// <summary>Puts back what was found, and lets others set weights.</summary>
    /// <exception cref="IOException">The kernel refused; the record stays for the next agent.</exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    public void Restore()
    {
        _interleave?.Restore();
        (_interleave, Weights) = (null, null);
        _record?.Dispose();
        _record = null;
    }

    /// <inheritdoc/>
    public void Dispose() => _record?.Dispose();

    /// <summary>Weights by node, for people.</summary>
    public static string Format(IReadOnlyDictionary<int, int> weights) =>
        string.Join(", ", weights.OrderBy(pair => pair.Key).Select(pair => $"node{pair.Key}={pair.Value}"));
}
