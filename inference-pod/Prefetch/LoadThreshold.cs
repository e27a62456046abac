namespace Moebius.Inference.Prefetch;

/// <summary>
/// From which probability on an expert is worth loading ahead. A load that turns out right saves its time. One in vain delays
/// what is worth less than itself, which waits behind it anyway, and what compute comes to demand meanwhile, by half of its
/// time: with a link that carries what is demanded for a share d of the time, loading pays if p > (1 - p) d / 2, that is from
/// p = d / (2 + d) on. Where hardly anything is demanded it may guess; a link that is full of demands carries what is likely.
/// Where layers are short, a load takes about as long as a layer: one in vain makes late what becomes likely only now, and takes a
/// processor from computing. There d is the share of the time in which the link carries anything.
/// </summary>
internal sealed class LoadThreshold
{
    /// <summary>Below this a guess is noise, and each costs memory traffic.</summary>
    public const float Least = 0.05f;

    /// <summary>The same where layers are short: each load takes processors from computing that are worth more there.</summary>
    public const float LeastOfShort = 0.1f;

    /// <summary>Before anything has been measured.</summary>
    public const float Initial = 0.15f;

    /// <summary>Weight of a new layer in the running sums.</summary>
    private const double Weight = 1.0 / 256;

    private double _carried, _time;

    /// <summary>The threshold now: <see cref="Least"/> to 1/3.</summary>
    public float Value { get; private set; } = Initial;

    /// <summary>Takes in what a layer cost.</summary>
    /// <param name="feedback">Its costs.</param>
    /// <param name="shortLayers">Planning takes a share of a layer that is worth weighing, and so do loads.</param>
    public void Observe(PrefetchFeedback feedback, bool shortLayers)
    {
        if (feedback.ExpertSeconds <= 0)
            return;
        var loads = shortLayers ? feedback.Loaded : feedback.Misses - feedback.Late;
        _carried += Weight * ((loads * feedback.ExpertSeconds) - _carried);
        _time += Weight * (feedback.StallSeconds + feedback.ComputeSeconds - _time);
        if (_time <= 0)
            return;
        var share = Math.Min(1, _carried / _time);
        Value = (float)Math.Max(shortLayers ? LeastOfShort : Least, share / (2 + share));
    }
}
