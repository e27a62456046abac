namespace Moebius.Operator.Tests.Integration;

/// <summary>Measures longer times than have passed, and does not let anybody wait that long.</summary>
internal sealed class HastyClock : TimeProvider
{
    private long _ahead;

    public TimeSpan Ahead
    {
        set => Interlocked.Exchange(ref _ahead, (long)(value.TotalSeconds * TimestampFrequency));
    }

    public override long GetTimestamp() => base.GetTimestamp() + Interlocked.Read(ref _ahead);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        base.CreateTimer(callback, state, dueTime >= TimeSpan.FromSeconds(5) ? TimeSpan.FromSeconds(1) : dueTime, period);
}
