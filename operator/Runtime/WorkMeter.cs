using System.Diagnostics;
using Moebius.Crds.Host;

namespace Moebius.Operator.Runtime;

/// <summary>
/// What one reconciliation takes outside its requests: on the clock, and of a processor. The two differ by what it waited for
/// a processor that others had, which none of its code can mend.
/// </summary>
internal sealed class WorkMeter
{
    private static readonly AsyncLocal<WorkMeter?> Current = new();

    private readonly WorkGap _gap;
    private long _clock;
    private TimeSpan _processor;
    private int _thread;
    private int _requests;

    private WorkMeter(WorkGap gap)
    {
        _gap = gap;
        Begin();
    }

    /// <summary>Time outside requests so far.</summary>
    public TimeSpan Elapsed { get; private set; }

    /// <summary>Processor time outside requests so far; zero on systems other than Linux.</summary>
    public TimeSpan Processor { get; private set; }

    /// <summary>Measures what this flow of control does from here on.</summary>
    /// <param name="gap">Is told when work begins and ends.</param>
    public static WorkMeter Start(WorkGap gap) => Current.Value = new WorkMeter(gap);

    /// <summary>A request begins: for as long as it takes, nothing is measured and garbage may be collected.</summary>
    /// <returns>Who is to be told of its end with <see cref="Resume"/>; null when nobody measures.</returns>
    public static WorkMeter? Pause()
    {
        var meter = Current.Value;
        if (meter is not null && Interlocked.Increment(ref meter._requests) == 1)
            meter.End();
        return meter;
    }

    /// <summary>A request has ended, perhaps on another thread.</summary>
    public void Resume()
    {
        if (Interlocked.Decrement(ref _requests) == 0)
            Begin();
    }

    /// <summary>Measures no more.</summary>
    public void Stop()
    {
        End();
        Current.Value = null;
    }

    private void Begin()
    {
        _gap.Begin();
        _thread = Environment.CurrentManagedThreadId;
        _clock = Stopwatch.GetTimestamp();
        _processor = ThreadClock.Now;
    }

    private void End()
    {
        Elapsed += Stopwatch.GetElapsedTime(_clock);
        // Each thread has a clock of its own. Between requests nothing is awaited, so this is the same one.
        if (_thread == Environment.CurrentManagedThreadId)
            Processor += ThreadClock.Now - _processor;
        _gap.End();
    }
}
