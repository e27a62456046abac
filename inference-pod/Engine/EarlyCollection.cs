namespace Moebius.Inference.Engine;

/// <summary>
/// Collects young garbage once there are two megabytes of it, but not so often that it would cost more than a few thousandths of the
/// time. The runtime would wait for as much as the processor's third-level cache is large, tens of megabytes on servers, and what a
/// server takes beside weights and caches is counted.
/// </summary>
/// <param name="clock">Time.</param>
internal sealed class EarlyCollection(TimeProvider clock)
{
    private const long Enough = 2 << 20;

    /// <summary>A collection takes less than a millisecond.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(250);

    private long _allocated = GC.GetTotalAllocatedBytes(), _last = clock.GetTimestamp();

    /// <summary>Between two steps: nearly nothing is alive then that is young.</summary>
    public void BetweenSteps()
    {
        if (clock.GetElapsedTime(_last) < s_pause)
            return;
        long allocated = GC.GetTotalAllocatedBytes();
        if (allocated - _allocated < Enough)
            return;
        GC.Collect(0, GCCollectionMode.Forced, blocking: true);
        (_allocated, _last) = (allocated, clock.GetTimestamp());
    }
}
