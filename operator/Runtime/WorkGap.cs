using Moebius.Crds.Host;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Collects young garbage when no reconciliation is at work, in all controllers of the process: there is none, or each of them waits for
/// the API server. Else the runtime would collect in the middle of one, which then takes several times as long.
/// </summary>
internal sealed class WorkGap(TimeProvider time)
{
    private readonly EarlyCollection _garbage = new(time, TimeSpan.FromMilliseconds(250));
    private int _working;

    /// <summary>A reconciliation begins, or goes on after a request.</summary>
    public void Begin() => Interlocked.Increment(ref _working);

    /// <summary>A reconciliation has ended, or begins a request.</summary>
    public void End()
    {
        if (Interlocked.Decrement(ref _working) == 0)
            _garbage.BetweenWork();
    }
}
