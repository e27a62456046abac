using Moebius.Crds.Host;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Collects young garbage when no reconciliation is under way, in all controllers of the process. Else the runtime would
/// collect in the middle of one, which then takes several times as long.
/// </summary>
internal sealed class WorkGap(TimeProvider time)
{
    private readonly EarlyCollection garbage = new(time, TimeSpan.FromMilliseconds(250));
    private int working;

    /// <summary>A reconciliation begins.</summary>
    public void Begin() => Interlocked.Increment(ref working);

    /// <summary>A reconciliation has ended.</summary>
    public void End()
    {
        if (Interlocked.Decrement(ref working) == 0)
            garbage.BetweenWork();
    }
}
