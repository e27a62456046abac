namespace Moebius.Inference.Prefetch;

/// <summary>
/// Whether looking ahead pays: the stall that it saves against the time that it takes itself, both per layer. What it
/// saves is known from its loads while it is on, and bounded by all the stall there is while it is off. Stalls come
/// and go, so a verdict against it needs a difference beyond what chance explains.
/// </summary>
internal sealed class PlanningWorth
{
    /// <summary>Layers that a mode runs before it is judged.</summary>
    public const int Trial = 128;

    /// <summary>Layers that it stays off after the first trial that did not pay; doubled by each that follows.</summary>
    public const int FirstPause = 1024;

    /// <summary>Most layers that it stays off without another trial, where a trial may pay.</summary>
    public const int LongestPause = 65_536;

    /// <summary>To begin, the stall must be larger than the cost by this much: not all of it can be saved.</summary>
    private const double Margin = 1.25;

    /// <summary>Layers, or so, over which stall and savings are averaged.</summary>
    private const double Window = 512;

    /// <summary>
    /// Share of a layer's time that looking ahead may cost beyond what it saves: stalls come to some tokens only, planning to
    /// all alike, and neither is known more exactly.
    /// </summary>
    public const double Tolerance = 0.03;

    private readonly UsualTime _plan = new();
    private readonly DecayingMean _busy = new(1 / Window), _saved = new(1 / Window), _stall = new(1 / Window), _stallOff = new(1 / Window), _compute = new(1 / Window);
    private int _layers, _wait, _pause = FirstPause;
    private (int Horizon, double Cost, double Stall, double Variance)? _shorter;

    /// <summary>Looking ahead is on.</summary>
    public bool On { get; private set; } = true;

    /// <summary>
    /// Seconds of planning in a layer that nothing hides. In a layer that waits for a load, the plan is made meanwhile.
    /// </summary>
    public double Cost { get; private set; }

    /// <summary>Seconds of stall that loads ahead save in a layer, at most.</summary>
    public double Saved => _stallOff.IsEmpty ? _saved.Value : Math.Min(_saved.Value, Math.Max(0, _stallOff.Value - _stall.Value) + Deviation(_stallOff.Variance));

    /// <summary>It costs more than it saves, as far as is known.</summary>
    public bool Wastes => Known && Saved + (Tolerance * _compute.Value) < Cost;

    /// <summary>It has been on, as it is, for so long that a verdict before is worth another look.</summary>
    public bool Settled => On && _layers >= 16 * Trial;

    /// <summary>It has run for long enough to be compared with another horizon.</summary>
    public bool Known => On && _layers >= Trial;

    /// <summary>
    /// The horizon was lengthened from this one, and that costs more than it has taken from the stall, beyond chance. Null
    /// where it pays or is not known.
    /// </summary>
    public int? LengthenedInVainFrom => Known && _shorter is { } shorter
        && Cost - shorter.Cost > Math.Max(0, shorter.Stall - _stall.Value) + Deviation(shorter.Variance) ? shorter.Horizon : null;

    /// <summary>What was lengthened has paid, beyond chance.</summary>
    private bool Paid => Known && (_shorter is not { } shorter || shorter.Stall - _stall.Value - Deviation(shorter.Variance) > Cost - shorter.Cost);

    /// <summary>Takes in a layer.</summary>
    public void Observe(PrefetchFeedback feedback)
    {
        _layers++;
        // A longer wait is the machine's doing: the thread was not running.
        double stall = Math.Min(feedback.StallSeconds, feedback.Misses * feedback.ExpertSeconds);
        if (!On)
        {
            _stallOff.Add(stall);
            // Stall below the cost cannot be worth it: then there is nothing to try.
            if (_layers >= _wait && _stallOff.Value > Margin * Cost)
                Switch(true);
            return;
        }
        _plan.Add(feedback.PlanSeconds);
        _compute.Add(feedback.ComputeSeconds);
        _busy.Add(feedback.Misses == 0 ? 1 : Math.Max(0, 1 - (feedback.ExpertSeconds / Math.Max(_plan.Value, 1e-9))));
        Cost = _plan.Value * _busy.Value;
        _stall.Add(stall);
        // A load ahead that was used saved at most the time of a load.
        _saved.Add(Math.Max(0, feedback.Ahead - feedback.OverFetched) * feedback.ExpertSeconds);
        if (!Settled)
            return;
        // What the stall was without looking ahead is too long ago to be compared with.
        _pause = FirstPause;
        _stallOff.Clear();
    }

    /// <summary>The horizon is lengthened. It is compared with the last one that is known to have paid.</summary>
    /// <param name="from">The horizon before, in layers.</param>
    public void Lengthen(int from)
    {
        var shorter = Paid ? (from, Cost, _stall.Value, _stall.Variance) : _shorter;
        Restart();
        _shorter = shorter;
    }

    /// <summary>The horizon was changed: the next verdict is about the new one.</summary>
    public void Restart()
    {
        _shorter = null;
        _layers = 0;
        _plan.Clear();
        foreach (var mean in new[] { _busy, _saved, _stall, _compute })
            mean.Clear();
    }

    /// <summary>Stops looking ahead, for a pause that grows with each time.</summary>
    public void Stop()
    {
        (_wait, _pause) = (_pause, Math.Min(LongestPause, 2 * _pause));
        Switch(false);
    }

    /// <summary>Of the difference between the mean stall now and another.</summary>
    private double Deviation(double variance) => Math.Sqrt(variance + _stall.Variance);

    private void Switch(bool on)
    {
        On = on;
        if (on)
            Restart();
        else
            _stallOff.Clear();
        _layers = 0;
    }
}
