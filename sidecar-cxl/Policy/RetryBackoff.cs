namespace Moebius.Cxl.Policy;

/// <summary>
/// When to try again after a failure: after a second, then after twice as long each time, up to five minutes. Failures are
/// forgotten after ten minutes of running without another, or after an hour without one. Pure: the caller says what time it
/// is, by a clock that nobody sets.
/// </summary>
internal sealed class RetryBackoff
{
    /// <summary>The longest pause.</summary>
    internal static readonly TimeSpan Longest = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan LongRun = TimeSpan.FromMinutes(10);
    // Longer than any pause: whoever fails without end is never taken for calm.
    private static readonly TimeSpan Calm = TimeSpan.FromHours(1);
    private static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    private TimeSpan? _started;
    private TimeSpan _ran;
    private TimeSpan _lastFailure;
    private TimeSpan _pause = First;
    private TimeSpan _wait = First;

    /// <summary>Failures that are not forgotten yet.</summary>
    public int Failures { get; private set; }

    /// <summary>The earliest moment of the next attempt.</summary>
    public TimeSpan Next { get; private set; } = TimeSpan.MinValue;

    /// <summary>It runs.</summary>
    public void Started(TimeSpan now) => (_started, _wait) = (now, First);

    /// <summary>It was taken out because nobody needs it: what it ran counts, the time until it runs again does not.</summary>
    public void Stopped(TimeSpan now)
    {
        _ran = Ran(now);
        _started = null;
    }

    /// <summary>Forgets the failures if they are long enough ago. To be called now and then, failure or not.</summary>
    public void Settle(TimeSpan now)
    {
        if (Failures > 0 && (Ran(now) >= LongRun || now - _lastFailure >= Calm))
            (_pause, Failures) = (First, 0);
    }

    /// <summary>It failed, or could not start.</summary>
    public void Failed(TimeSpan now)
    {
        Settle(now);
        (_started, _ran, _lastFailure, _wait) = (null, TimeSpan.Zero, now, First);
        Failures++;
        Next = now + _pause;
        _pause = Longer(_pause);
    }

    /// <summary>Somebody else has what it needs. That is no failure, but looking again and again leads nowhere either.</summary>
    public void Taken(TimeSpan now)
    {
        Next = now + _wait;
        _wait = Longer(_wait);
    }

    private TimeSpan Ran(TimeSpan now) => _ran + (_started is { } since ? now - since : TimeSpan.Zero);

    private static TimeSpan Longer(TimeSpan pause) => pause * 2 < Longest ? pause * 2 : Longest;
}
