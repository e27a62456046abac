namespace Moebius.Cxl.Policy;

/// <summary>Run time of a window by class, in CPUs: 1.5 is one CPU and a half, all the time.</summary>
/// <param name="Readers">Of read-heavy tasks.</param>
/// <param name="Writers">Of write-heavy tasks.</param>
/// <param name="Latency">Of latency tasks.</param>
internal readonly record struct ClassLoads(double Readers, double Writers, double Latency)
{
    /// <summary>There is a choice to make: readers and writers to pair, or bulk work that a latency task may have to wait for.</summary>
    public bool NeedScheduler =>
        Runs(Readers) && Runs(Writers) || Runs(Latency) && (Runs(Readers) || Runs(Writers));

    private static bool Runs(double load) => load >= Engagement.MinimumLoad;
}

/// <summary>
/// Whether the duplex scheduler should be in the kernel now. While nobody is there to be paired or put first, the kernel's
/// own scheduler runs the machine, so that work which has nothing to do with the link pays nothing. Pure state, no I/O.
/// </summary>
internal sealed class Engagement
{
    /// <summary>A class that runs less than this, in CPUs, is not there.</summary>
    internal const double MinimumLoad = 0.05;

    /// <summary>Windows in a row with something to schedule before the scheduler comes.</summary>
    internal const int EngageAfter = 2;

    /// <summary>Windows in a row with nothing to schedule before it goes: every change stops the machine for a moment.</summary>
    internal const int ReleaseAfter = 30;

    private int _against;

    /// <summary>Whether the scheduler should be there.</summary>
    public bool Engaged { get; private set; }

    /// <summary>Takes a window; gives <see cref="Engaged"/>.</summary>
    public bool Next(ClassLoads loads)
    {
        _against = loads.NeedScheduler == Engaged ? 0 : _against + 1;
        if (_against >= (Engaged ? ReleaseAfter : EngageAfter))
            (Engaged, _against) = (!Engaged, 0);
        return Engaged;
    }
}
