namespace Moebius.Inference.Prefetch;

/// <summary>
/// Whether looking ahead pays: the stall that it saves against the time that it takes itself, both per layer. What it
/// saves is known from its loads while it is on, and bounded by all the stall there is while it is off.
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

    /// <summary>Times the mean that a plan may take and be counted whole.</summary>
    private const double Unusual = 4;

    private readonly DecayingMean _cost = new(), _saved = new(), _stall = new(), _stallOff = new();
    private int _layers, _wait, _pause = FirstPause;
    private (double Cost, double Stall)? _shorter;

    /// <summary>Looking ahead is on.</summary>
    public bool On { get; private set; } = true;

    /// <summary>Seconds of planning in a layer.</summary>
    public double Cost => _cost.Value;

    /// <summary>Seconds of stall that loads ahead save in a layer, at most.</summary>
    public double Saved => _stallOff.IsEmpty ? _saved.Value : Math.Min(_saved.Value, Math.Max(0, _stallOff.Value - _stall.Value));

    /// <summary>It costs more than it saves, as far as is known.</summary>
    public bool Wastes => Known && Saved < Cost;

    /// <summary>It has been on, as it is, for so long that a verdict before is worth another look.</summary>
    public bool Settled => On && _layers >= 16 * Trial;

    /// <summary>It has run for long enough to be compared with another horizon.</summary>
    public bool Known => On && _layers >= Trial;

    /// <summary>The horizon was lengthened, and that costs more than it has taken from the stall.</summary>
    public bool LengthenedInVain => Known && _shorter is { } shorter && Cost - shorter.Cost > Math.Max(0, shorter.Stall - _stall.Value);

    /// <summary>Takes in a layer.</summary>
    public void Observe(PrefetchFeedback feedback)
    {
        _layers++;
        // A longer wait is the machine's doing, as is a plan of many times the usual: the thread was not running.
        double stall = Math.Min(feedback.StallSeconds, feedback.Misses * feedback.ExpertSeconds);
        if (!On)
        {
            _stallOff.Add(stall);
            // Stall below the cost cannot be worth it: then there is nothing to try.
            if (_layers >= _wait && _stallOff.Value > Margin * Cost)
                Switch(true);
            return;
        }
        _cost.Add(_cost.IsEmpty ? feedback.PlanSeconds : Math.Min(feedback.PlanSeconds, Unusual * Cost));
        _stall.Add(stall);
        // A load ahead that was used saved at most the time of a load.
        _saved.Add(Math.Max(0, feedback.Ahead - feedback.OverFetched) * feedback.ExpertSeconds);
        if (!Settled)
            return;
        // What the stall was without looking ahead is too long ago to be compared with.
        _pause = FirstPause;
        _stallOff.Clear();
    }

    /// <summary>The horizon was changed: the next verdict is about the new one.</summary>
    /// <param name="lengthened">By a layer, and the one before is to be compared with.</param>
    public void Restart(bool lengthened = false)
    {
        _shorter = lengthened && Known ? (Cost, _stall.Value) : null;
        _layers = 0;
        foreach (var mean in new[] { _cost, _saved, _stall })
            mean.Clear();
    }

    /// <summary>Stops looking ahead, for a pause that grows with each time.</summary>
    public void Stop()
    {
        (_wait, _pause) = (_pause, Math.Min(LongestPause, 2 * _pause));
        Switch(false);
    }

    private void Switch(bool on)
    {
        On = on;
        if (on)
            Restart();
        else
            _stallOff.Clear();
        _layers = 0;
    }

    /// <summary>A mean over the last hundreds of layers, right from the first value on.</summary>
    private sealed class DecayingMean
    {
        private const double Weight = 1.0 / 256;

        private double _sum, _total;

        public bool IsEmpty => _total == 0;

        public double Value => _total == 0 ? 0 : _sum / _total;

        public void Add(double value) => (_sum, _total) = (_sum + (Weight * (value - _sum)), _total + (Weight * (1 - _total)));

        public void Clear() => (_sum, _total) = (0, 0);
    }
}
