namespace Moebius.Inference.Prefetch;

/// <summary>Bounds and thresholds of the horizon; the fields of <c>spec.experts.prefetch</c>.</summary>
/// <param name="MaxHorizon">Largest horizon, at least 1.</param>
/// <param name="StallThreshold">Stalls that raise it by one, at least 1.</param>
/// <param name="OverfetchThreshold">Experts loaded ahead in vain that lower it by one, at least 1.</param>
internal sealed record HorizonLimits(int MaxHorizon, int StallThreshold, int OverfetchThreshold);

/// <summary>
/// How many layers ahead to load (section on the adaptive step size of ExpertFlow, arXiv 2510.26730). It starts where
/// loading what a layer is expected to need takes as long as computing the layers in between. Then stalls of experts that
/// were foreseen too late raise it and loads in vain lower it, one layer at a time; both counters forget, so that only
/// what keeps happening counts, except for stalls where a longer horizon costs nothing. When the batch or the machine changes so much that the start would lie elsewhere by more
/// than one, it starts there again. Where planning takes a share of a layer that is worth weighing, a horizon has to
/// pay: the whole time of a layer tells which is best (<see cref="HorizonContest"/>), once among all, then now and then
/// among the neighbours, and where the counters ask. What a contest may find is not to look ahead at all.
/// </summary>
internal sealed class HorizonController(HorizonLimits limits)
{
    /// <summary>The horizon of a step in which nothing is predicted, planned or loaded ahead.</summary>
    public const int Off = -1;

    /// <summary>Planning below this share of a layer's time is not worth weighing.</summary>
    public const double Negligible = 0.02;

    /// <summary>Layers before the first contest: while the cache fills they say little of what is to come.</summary>
    public const int First = 512;

    /// <summary>To begin again, the stall must be larger than planning by this much: not all of it can be saved.</summary>
    private const double Margin = 1.25;

    /// <summary>Weight of a new measurement in the means that say where the horizon starts: single layers say little.</summary>
    private const double Weight = 1.0 / 128;

    /// <summary>What the counters keep from layer to layer: they count the last 64 layers or so.</summary>
    private const double Memory = 1 - (1.0 / 64);

    /// <summary>A layer that takes longer than this many usual ones, beside its loads, was held up by other programs.</summary>
    private const double Unusual = 4;

    private readonly DecayingMean _expected = new(Weight), _loadedShare = new(Weight), _compute = new(Weight), _transfer = new(Weight), _stall = new(Weight / 4);

    /// <summary>Planning a layer: with a horizon, and where the token ids speak once a step.</summary>
    private readonly UsualTime _plan = new(), _usual = new();
    private readonly DecayingMean _planOnce = new(Weight);

    /// <summary>Between contests among the neighbours, and between those that the counters ask for.</summary>
    private readonly ContestPause _regular = new(), _asked = new();
    private ContestPause? _pause;
    private HorizonContest? _contest;
    private int? _wanted;
    private int _start, _kept = 1, _layers;
    private double _stalls, _overfetched;
    private bool _judged;

    /// <summary>The horizon of this step, in layers: 1..MaxHorizon; 0 while only what the token ids say pays; or <see cref="Off"/>.</summary>
    public int Horizon { get; private set; } = 1;

    /// <summary>Planning has never taken a share of a layer that is worth weighing, since what runs for the first time was compiled.</summary>
    public bool IsFree { get; private set; } = true;

    /// <summary>Horizons take turns.</summary>
    public bool IsComparing => _contest is not null;

    /// <summary>Where the horizon starts with these figures: far enough for one load, or for all that a layer needs.</summary>
    /// <param name="experts">Experts that have to be loaded for a layer.</param>
    /// <param name="expertSeconds">Time the link takes for one.</param>
    /// <param name="computeSeconds">Time of a layer without stalls.</param>
    /// <param name="maxHorizon">Bound.</param>
    public static int Start(double experts, double expertSeconds, double computeSeconds, int maxHorizon) =>
        expertSeconds <= 0 || computeSeconds <= 0 ? 1 : (int)Math.Clamp(Math.Ceiling(Math.Max(1, experts) * expertSeconds / computeSeconds), 1, maxHorizon);

    /// <summary>
    /// Horizons that are worth comparing: none, the token ids and last uses, and from 1 on each half as long again as the one
    /// before, as far as twice the start.
    /// </summary>
    public static IEnumerable<int> Candidates(int start, int maxHorizon)
    {
        var most = Math.Min(maxHorizon, Math.Max(4, 2 * start));
        yield return Off;
        yield return 0;
        for (var horizon = 1; horizon <= most; horizon += Math.Max(1, horizon / 2))
            yield return horizon;
    }

    /// <summary>Tells how many distinct experts the next layer is expected to use: it grows with the batch's diversity.</summary>
    public void Expect(double experts) => _expected.Add(experts);

    /// <summary>A step begins: the horizon changes nowhere else.</summary>
    public void Begin()
    {
        if (_contest is not null)
            Continue(_contest);
        else if (_kept == Off ? SomethingToSave : Costs && _layers >= First)
            Compare();
        IsFree &= !(Costs && _layers >= First);
        Horizon = _contest?.Horizon ?? _kept;
    }

    /// <summary>Takes in what happened in a layer.</summary>
    /// <param name="feedback">Costs of the layer.</param>
    /// <param name="expectedInVain">How many of what was loaded ahead were expected to be in vain, by their probabilities.</param>
    public void Observe(PrefetchFeedback feedback, double expectedInVain = 0)
    {
        var seconds = Measure(feedback);
        _layers++;
        _regular.Pass();
        _asked.Pass();
        if (_contest is not null)
        {
            _contest.Observe(seconds);
            return;
        }
        var now = Start(_expected.Value * _loadedShare.Value, _transfer.Value, _compute.Value, limits.MaxHorizon);
        if (Math.Abs(now - _start) > 1)
            Restart(now);
        else if (_kept > 0 && Pressure(feedback, expectedInVain) is var step and not 0)
            Ask(step);
    }

    /// <summary>Whether planning takes a share of a layer that is worth weighing.</summary>
    private bool Costs => _plan.Value > Negligible * _compute.Value;

    /// <summary>No more than the stall can be saved.</summary>
    private bool SomethingToSave => _stall.Value > Margin * (_planOnce.Value > 0 ? _planOnce.Value : _plan.Value);

    /// <summary>The batch or the machine has changed.</summary>
    private void Restart(int start)
    {
        _start = start;
        // What has been compared is known better than where to start.
        if (!Costs || _layers < First)
            Keep(start);
    }

    /// <summary>The counters ask for another horizon.</summary>
    private void Ask(int step)
    {
        var next = Math.Clamp(_kept + step, 1, limits.MaxHorizon);
        if (next == _kept)
            return;
        if (!Costs)
            Keep(next);
        else
            _wanted = next;
    }

    /// <summary>Begins a contest where it is time for one.</summary>
    private void Compare()
    {
        if (_regular.IsOver)
        {
            var all = Candidates(_start, limits.MaxHorizon).Append(_kept).Distinct().Order().ToList();
            var at = all.IndexOf(_kept);
            var among = _judged && _kept != Off;
            (_contest, _pause) = (new HorizonContest(all.Where((horizon, i) => !among || horizon == Off || Math.Abs(i - at) <= 1)), _regular);
        }
        else if (_wanted is { } next && _asked.IsOver)
        {
            (_contest, _pause) = (new HorizonContest([_kept, next]), _asked);
        }
        _wanted = null;
    }

    private void Continue(HorizonContest contest)
    {
        contest.EndStep();
        if (contest.Winner is not { } winner)
            return;
        (_contest, _judged) = (null, true);
        if (winner == _kept)
        {
            _pause!.Lengthen();
            return;
        }
        Keep(winner);
        _regular.Restart();
        _asked.Restart();
    }

    /// <summary>Takes in the figures of a layer; returns its time without what other programs have added.</summary>
    private double Measure(PrefetchFeedback feedback)
    {
        if (feedback.ComputeSeconds > 0)
            _compute.Add(feedback.ComputeSeconds);
        if (feedback.ExpertSeconds > 0)
            _transfer.Add(feedback.ExpertSeconds);
        if (feedback.Used > 0)
            _loadedShare.Add(Math.Min(1, (double)feedback.Loaded / feedback.Used));
        if (Horizon > 0)
            _plan.Add(feedback.PlanSeconds);
        else if (Horizon == 0)
            _planOnce.Add(feedback.PlanSeconds);
        var loads = Math.Min(feedback.StallSeconds, Unusual * feedback.Misses * feedback.ExpertSeconds);
        _stall.Add(loads);
        _usual.Add(feedback.ComputeSeconds);
        return Math.Min(feedback.ComputeSeconds, Unusual * _usual.Value) + loads;
    }

    /// <summary>
    /// What the counters ask for: +1, -1 or 0 layers. Late stalls are forgotten only where a longer horizon costs something. In
    /// vain is what was loaded so beyond what was to be expected: who guesses is often wrong.
    /// </summary>
    private int Pressure(PrefetchFeedback feedback, double expectedInVain)
    {
        _stalls = (_stalls * (Costs ? Memory : 1)) + (feedback.Late + feedback.Queued > 0 && feedback.StallSeconds > 0 ? 1 : 0);
        _overfetched = Math.Max(0, (_overfetched * Memory) + feedback.OverFetched - expectedInVain);
        if (_stalls < limits.StallThreshold && _overfetched < limits.OverfetchThreshold)
            return 0;
        // What is farther past its threshold decides: with both, a step either way would only trade one for the other.
        double late = _stalls / limits.StallThreshold, vain = _overfetched / limits.OverfetchThreshold;
        var step = late > vain ? 1 : late < vain ? -1 : 0;
        (_stalls, _overfetched) = (0, 0);
        return step;
    }

    private void Keep(int next) => (_kept, _stalls, _overfetched) = (next, 0, 0);
}
