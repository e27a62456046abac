namespace Moebius.Operator.Runtime;

/// <summary>
/// Gives back what a burst of work needed. An operator is at rest most of its time, and the runtime collects only when
/// somebody allocates: without this, a process that has made a thousand objects would hold the garbage of that for ever.
/// </summary>
internal sealed class IdleMemory(TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    /// <summary>Bytes allocated since the last collection that make another one worth its pause.</summary>
    private const long Worthwhile = 32 << 20;

    /// <summary>Bytes allocated within <see cref="Interval"/> at which there is still work.</summary>
    private const long Busy = 2 << 20;

    private long _collectedAt;
    private long _lookedAt;

    /// <summary>Looks from time to time until stopped.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                await Task.Delay(Interval, time, cancellationToken).ConfigureAwait(false);
                if (IsDue(GC.GetTotalAllocatedBytes()))
                    GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    /// <summary>Whether work has been done since the last collection and none is being done now.</summary>
    /// <param name="allocated">Bytes that the process has allocated so far; called once each interval.</param>
    internal bool IsDue(long allocated)
    {
        var isIdle = allocated - _lookedAt < Busy;
        _lookedAt = allocated;
        if (!isIdle || allocated - _collectedAt < Worthwhile)
            return false;
        _collectedAt = allocated;
        return true;
    }
}
