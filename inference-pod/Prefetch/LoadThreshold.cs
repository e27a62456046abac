namespace Moebius.Inference.Prefetch;

/// <summary>
/// From which probability on an expert is worth loading ahead. A load that turns out right saves its time; one in vain
/// delays others by as much, but only while they want the link: with a link that is busy for a share r of the time, loading
/// pays if p > (1 - p) r, that is from p = r / (1 + r) on. An idle link may guess; a full one carries what is likelier than not.
/// </summary>
internal sealed class LoadThreshold
{
    /// <summary>Below this a guess is noise, and each costs memory traffic.</summary>
    public const float Least = 0.05f;

    /// <summary>Before anything has been measured.</summary>
    public const float Initial = 0.15f;

    /// <summary>Weight of a new layer in the running sums.</summary>
    private const double Weight = 1.0 / 256;

    private double _busy, _time;

    /// <summary>The threshold now: <see cref="Least"/> to 0.5.</summary>
    public float Value { get; private set; } = Initial;

    /// <summary>Takes in what a layer cost.</summary>
    public void Observe(PrefetchFeedback feedback)
    {
        if (feedback.ExpertSeconds <= 0)
            return;
        _busy += Weight * ((feedback.Loaded * feedback.ExpertSeconds) - _busy);
        _time += Weight * (feedback.StallSeconds + feedback.ComputeSeconds - _time);
        if (_time <= 0)
            return;
        double share = Math.Min(1, _busy / _time);
        Value = (float)Math.Max(Least, share / (1 + share));
    }
}
