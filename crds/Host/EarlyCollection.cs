namespace Moebius.Crds.Host;

/// <summary>
/// Collects young garbage at moments when nobody waits, once there are two megabytes of it, but not so often that it would cost more than
/// a few thousandths of the time. The runtime would wait for as much as the processor's third-level cache is large, tens of megabytes on
/// servers, and then stop whoever happens to be at work.
/// </summary>
/// <param name="clock">Time.</param>
/// <param name="pause">Least time between two collections, each of which takes about a millisecond.</param>
public sealed class EarlyCollection(TimeProvider clock, TimeSpan pause)
{
    private const long Enough = 2 << 20;

    private long _collectedAt = GC.GetTotalAllocatedBytes();
    private long _since = clock.GetTimestamp();

    /// <summary>Between two pieces of work: nearly nothing is alive then that is young.</summary>
    public void BetweenWork()
    {
        // Asking for the bytes stops at every thread of the process: not before the time is right.
        if (clock.GetElapsedTime(_since) >= pause && IsDue(GC.GetTotalAllocatedBytes()))
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
    }

    /// <summary>Whether a collection is worth its pause; if so, counts it as done.</summary>
    /// <param name="allocated">Bytes that the process has allocated so far.</param>
    internal bool IsDue(long allocated)
    {
        if (clock.GetElapsedTime(_since) < pause || allocated - _collectedAt < Enough)
            return false;
        (_collectedAt, _since) = (allocated, clock.GetTimestamp());
        return true;
    }
}
