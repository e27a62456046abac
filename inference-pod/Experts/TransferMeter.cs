namespace Moebius.Inference.Experts;

/// <summary>
/// Measures the link from the loads that it carries. Bandwidth counts the time in which at least one load was on its
/// way, so that loads at the same time share it and idle time does not lower it. Pure: time is given.
/// </summary>
internal sealed class TransferMeter
{
    /// <summary>Busy seconds that make one sample.</summary>
    private const double SampleSeconds = 0.005;

    /// <summary>Weight of the newest sample.</summary>
    private const double Newest = 0.2;

    private int _active;
    private double _since;
    private double _busy;
    private long _bytes;
    private int _ended;

    /// <summary>Bytes a second of the busy link; 0 until something was measured.</summary>
    public double BytesPerSecond { get; private set; }

    /// <summary>Seconds from one finished load to the next on the busy link; 0 until something was measured.</summary>
    public double SecondsPerTransfer { get; private set; }

    /// <summary>Seconds that a load takes from its beginning to its end, others at the same time included; 0 until something was measured.</summary>
    public double LatencySeconds { get; private set; }

    /// <summary>A load begins.</summary>
    public void Begin(double now)
    {
        Pass(now);
        _active++;
    }

    /// <summary>A load that began at <paramref name="begun"/> ended with this many bytes; 0 where it failed.</summary>
    public void End(double begun, double now, long bytes)
    {
        Pass(now);
        _active--;
        if (bytes == 0)
            return;
        _bytes += bytes;
        _ended++;
        LatencySeconds = Blend(LatencySeconds, now - begun);
        if (_busy < SampleSeconds)
            return;
        BytesPerSecond = Blend(BytesPerSecond, _bytes / _busy);
        SecondsPerTransfer = Blend(SecondsPerTransfer, _busy / _ended);
        (_busy, _bytes, _ended) = (0, 0, 0);
    }

    private void Pass(double now)
    {
        if (_active > 0)
            _busy += now - _since;
        _since = now;
    }

    private static double Blend(double average, double sample) => average == 0 ? sample : average + Newest * (sample - average);
}
