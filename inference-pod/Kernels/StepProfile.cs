using System.Diagnostics;

namespace Moebius.Inference.Kernels;

/// <summary>Parts of a step, for <see cref="StepProfile"/>.</summary>
internal enum StepPart
{
    /// <summary>Checks, rotary angles, token embeddings.</summary>
    Prepare,

    /// <summary>Norms and the addition of what the layers give.</summary>
    Norms,

    /// <summary>Products with the dense matrices of attention.</summary>
    Projections,

    /// <summary>Rotation, keys and values, attention itself.</summary>
    Attention,

    /// <summary>The router's product.</summary>
    RouterProduct,

    /// <summary>The choice of experts and the grouping of rows.</summary>
    Routing,

    /// <summary>Waiting for and pinning experts.</summary>
    Acquire,

    /// <summary>Products with experts and their activation.</summary>
    Experts,

    /// <summary>The weighted sum of what experts gave.</summary>
    Combine,

    /// <summary>Dense and shared feed-forward.</summary>
    DenseFeedForward,

    /// <summary>The last norm and the product with the output head.</summary>
    Head,

    /// <summary>Everything after: results handed over, tokens counted.</summary>
    Finish,
}

/// <summary>Where the time of steps goes. A mark ends a part that began at the mark before.</summary>
internal sealed class StepProfile
{
    private readonly long[] _ticks = new long[Enum.GetValues<StepPart>().Length];
    private long _last;

    /// <summary>Begins a step.</summary>
    public void Begin() => _last = Stopwatch.GetTimestamp();

    public void Mark(StepPart part)
    {
        var now = Stopwatch.GetTimestamp();
        _ticks[(int)part] += now - _last;
        _last = now;
    }

    public TimeSpan Of(StepPart part) => Stopwatch.GetElapsedTime(0, _ticks[(int)part]);

    public void Clear() => Array.Clear(_ticks);
}
