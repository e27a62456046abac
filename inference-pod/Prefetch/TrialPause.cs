namespace Moebius.Inference.Prefetch;

/// <summary>Layers between trials of one kind: they double with each that does not pay, so that trials grow rare.</summary>
internal sealed class TrialPause
{
    /// <summary>Layers after the first trial that did not pay.</summary>
    public const int First = 1024;

    /// <summary>Most layers.</summary>
    public const int Longest = 65_536;

    private int _left, _next = First;

    /// <summary>A trial may begin.</summary>
    public bool IsOver => _left == 0;

    /// <summary>A layer passes.</summary>
    public void Pass() => _left = Math.Max(0, _left - 1);

    /// <summary>A trial did not pay.</summary>
    public void Lengthen() => (_left, _next) = (_next, Math.Min(Longest, 2 * _next));

    /// <summary>What was found before no longer holds.</summary>
    /// <param name="layers">Layers until a trial may begin.</param>
    public void Restart(int layers = 0) => (_left, _next) = (layers, First);
}
