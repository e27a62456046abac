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
/// what keeps happening counts. When the batch or the machine changes so much that the start would lie elsewhere by more
/// than one, it starts there again. Where planning takes a share of a layer that is worth weighing, a longer horizon has to
/// pay: it takes turns with the one before until the whole time of a layer tells (<see cref="HorizonTrial"/>). So does, now
/// and then, half the horizon, and in the place of 1 none at all.
/// </summary>
internal sealed class HorizonController(HorizonLimits limits)
{
    /// <summary>Planning below this share of a layer's time is not worth weighing.</summary>
    public const double Negligible = 0.02;

    /// <summary>Layers before the first trial: while the cache fills they say little of what is to come.</summary>
    public const int First = 512;

    /// <summary>To begin again, the stall must be larger than planning by this much: not all of it can be saved.</summary>
    private const double Margin = 1.25;

    /// <summary>Weight of a new measurement in the means that say where the horizon starts: single layers say little.</summary>
    private const double Weight = 1.0 / 128;

    /// <summary>What the counters keep from layer to layer: they count the last 64 layers or so.</summary>
    private const double Memory = 1 - (1.0 / 64);

    /// <summary>A layer that takes longer than this many usual ones, beside its loads, was held up by other programs.</summary>
    private const double Unusual = 4;

    /// <summary>
    /// What is tried in place of a horizon, in turn: what half of it does not pay for one layer less may, or none at all,
    /// since that costs nothing.
    /// </summary>
    private static readonly Func<int, int>[] Shorter = [horizon => horizon / 2, _ => 0, horizon => horizon - 1];

    private readonly DecayingMean expected = new(Weight), loadedShare = new(Weight), compute = new(Weight), transfer = new(Weight), stall = new(Weight / 4);
    private readonly UsualTime plan = new(), usual = new();
    private readonly TrialPause longer = new(), shorter = new();
    private HorizonTrial? trial;
    private int start, kept = 1, layers;
    private double stalls, overfetched;
    private int turn;
    private bool judged;

    /// <summary>The horizon now, in layers: 1..MaxHorizon, or 0 while only what the token ids say pays.</summary>
    public int Horizon => trial?.Horizon ?? kept;

    /// <summary>Where the horizon starts with these figures: far enough for one load, or for all that a layer needs.</summary>
    /// <param name="experts">Experts that have to be loaded for a layer.</param>
    /// <param name="expertSeconds">Time the link takes for one.</param>
    /// <param name="computeSeconds">Time of a layer without stalls.</param>
    /// <param name="maxHorizon">Bound.</param>
    public static int Start(double experts, double expertSeconds, double computeSeconds, int maxHorizon) =>
        expertSeconds <= 0 || computeSeconds <= 0 ? 1 : (int)Math.Clamp(Math.Ceiling(Math.Max(1, experts) * expertSeconds / computeSeconds), 1, maxHorizon);

    /// <summary>Tells how many distinct experts the next layer is expected to use: it grows with the batch's diversity.</summary>
    public void Expect(double experts) => expected.Add(experts);

    /// <summary>Takes in what happened in a layer.</summary>
    /// <param name="feedback">Costs of the layer.</param>
    /// <param name="used">Distinct experts that it used.</param>
    public void Observe(PrefetchFeedback feedback, int used)
    {
        double seconds = Measure(feedback, used);
        layers++;
        longer.Pass();
        shorter.Pass();
        int now = Start(expected.Value * loadedShare.Value, transfer.Value, compute.Value, limits.MaxHorizon);
        if (trial is not null)
        {
            trial.Observe(feedback.Layer, seconds);
            Decide();
        }
        else if (kept == 0)
        {
            // No more than the stall can be saved.
            if (longer.IsOver && stall.Value > Margin * plan.Value)
                trial = new HorizonTrial(0, now);
        }
        else if (Math.Abs(now - start) > 1)
        {
            start = now;
            // As the cache fills fewer loads are needed; what has been tried since is known better.
            if (layers < First || (now < kept && !judged))
                Keep(now);
            else
                Take(now);
        }
        else if (Pressure(feedback) is var step and not 0)
        {
            Take(Math.Clamp(kept + step, 1, limits.MaxHorizon));
        }
        else if (Costs && layers >= First && shorter.IsOver)
        {
            trial = new HorizonTrial(kept, Shorter[turn++ % Shorter.Length](kept));
        }
    }

    /// <summary>Whether planning takes a share of a layer that is worth weighing.</summary>
    private bool Costs => plan.Value > Negligible * compute.Value;

    /// <summary>Takes in the figures of a layer; returns its time without what other programs have added.</summary>
    private double Measure(PrefetchFeedback feedback, int used)
    {
        if (feedback.ComputeSeconds > 0)
            compute.Add(feedback.ComputeSeconds);
        if (feedback.ExpertSeconds > 0)
            transfer.Add(feedback.ExpertSeconds);
        if (used > 0)
            loadedShare.Add(Math.Min(1, (double)feedback.Loaded / used));
        if (Horizon > 0)
            plan.Add(feedback.PlanSeconds);
        double loads = Math.Min(feedback.StallSeconds, Unusual * feedback.Misses * feedback.ExpertSeconds);
        stall.Add(loads);
        usual.Add(feedback.ComputeSeconds);
        return Math.Min(feedback.ComputeSeconds, Unusual * usual.Value) + loads;
    }

    /// <summary>What the counters ask for: +1, -1 or 0 layers.</summary>
    private int Pressure(PrefetchFeedback feedback)
    {
        stalls = (stalls * Memory) + (feedback.Late + feedback.Queued > 0 && feedback.StallSeconds > 0 ? 1 : 0);
        overfetched = (overfetched * Memory) + feedback.OverFetched;
        if (stalls < limits.StallThreshold && overfetched < limits.OverfetchThreshold)
            return 0;
        // What is farther past its threshold decides: with both, a step either way would only trade one for the other.
        int step = Math.Sign((stalls / limits.StallThreshold) - (overfetched / limits.OverfetchThreshold));
        (stalls, overfetched) = (0, 0);
        return step;
    }

    /// <summary>Goes to another horizon, or tries it where planning costs something.</summary>
    private void Take(int next)
    {
        if (next == kept)
            return;
        if (!Costs)
            Keep(next);
        else if (layers >= First && (next > kept ? longer : shorter).IsOver)
            trial = new HorizonTrial(kept, next);
    }

    private void Decide()
    {
        var (verdict, tried) = (trial!.Verdict, trial.Tried);
        if (verdict == TrialVerdict.Open)
            return;
        (trial, judged) = (null, true);
        // Of two horizons between which no difference is seen the shorter stays: it loads less.
        bool takes = tried < kept ? verdict != TrialVerdict.Worse : verdict == TrialVerdict.Better;
        if (takes)
            Keep(tried);
        else
            (tried < kept ? shorter : longer).Lengthen();
    }

    private void Keep(int next)
    {
        // The way back is not tried at once.
        (next > kept ? shorter : longer).Restart(TrialPause.First);
        (kept, stalls, overfetched) = (next, 0, 0);
    }
}
