namespace Moebius.Inference.Prefetch;

/// <summary>Layers between contests of one kind: they double with each that changes nothing, so that contests grow rare.</summary>
internal sealed class ContestPause
{
    /// <summary>Layers after a change.</summary>
    public const int First = 8192;

    /// <summary>Most layers.</summary>
    public const int Longest = 65_536;

    private int _left, _next = First;

    /// <summary>A contest may begin.</summary>
    public bool IsOver => _left == 0;

    /// <summary>A layer passes.</summary>
    public void Pass() => _left = Math.Max(0, _left - 1);

    /// <summary>A contest changed nothing.</summary>
    public void Lengthen() => (_left, _next) = (_next, Math.Min(Longest, 2 * _next));

    /// <summary>A contest changed the horizon.</summary>
    public void Restart() => (_left, _next) = (First, First);
}
