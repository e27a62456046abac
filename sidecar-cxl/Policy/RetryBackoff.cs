namespace Moebius.Cxl.Policy;

/// <summary>
/// When to try again after a failure: after a second, then after twice as long each time, up to five minutes. A run that
/// was long enough starts over. Pure: the caller says what time it is, by a clock that nobody sets.
/// </summary>
internal sealed class RetryBackoff
{
    /// <summary>The longest pause.</summary>
    internal static readonly TimeSpan Longest = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan LongRun = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    private TimeSpan? _started;
    private TimeSpan _pause = First;

    /// <summary>Failures since the last long run.</summary>
    public int Failures { get; private set; }

    /// <summary>The earliest moment of the next attempt.</summary>
    public TimeSpan Next { get; private set; } = TimeSpan.MinValue;

    /// <summary>It runs.</summary>
    public void Started(TimeSpan now) => _started = now;

    /// <summary>It failed, or could not start.</summary>
    public void Failed(TimeSpan now)
    {
        if (_started is { } since && now - since >= LongRun)
            (_pause, Failures) = (First, 0);
        _started = null;
        Failures++;
        Next = now + _pause;
        _pause = _pause * 2 < Longest ? _pause * 2 : Longest;
    }
}
