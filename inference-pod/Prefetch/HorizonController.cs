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
/// than one, it starts there again. A longer horizon that costs more than it takes from the stall is taken back. Where
/// looking ahead costs more than all that it saves, the horizon shrinks, and at last nothing is loaded ahead, until there
/// is enough stall to make another trial worth while (<see cref="PlanningWorth"/>).
/// </summary>
internal sealed class HorizonController(HorizonLimits limits)
{
    /// <summary>Weight of a new measurement in the means that say where the horizon starts: single layers say little.</summary>
    private const double Weight = 1.0 / 128;

    /// <summary>What the counters keep from layer to layer: they count the last 64 layers or so.</summary>
    private const double Memory = 1 - (1.0 / 64);

    /// <summary>Planning below this share of a layer's time is not worth weighing.</summary>
    private const double Negligible = 0.02;

    private readonly PlanningWorth worth = new();

    private readonly DecayingMean expected = new(Weight), loadedShare = new(Weight), compute = new(Weight), transfer = new(Weight);
    private int start;
    private int frugal = int.MaxValue;
    private double stalls;
    private double overfetched;

    /// <summary>The horizon now, in layers: 1..MaxHorizon, or 0 while looking ahead does not pay.</summary>
    public int Horizon { get; private set; } = 1;

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
    /// <param name="late">Those of its misses that had been foreseen: only they say that the horizon is short.</param>
    public void Observe(PrefetchFeedback feedback, int used, int late)
    {
        if (feedback.ComputeSeconds > 0)
            compute.Add(feedback.ComputeSeconds);
        if (feedback.ExpertSeconds > 0)
            transfer.Add(feedback.ExpertSeconds);
        if (used > 0)
            loadedShare.Add(Math.Min(1, (double)feedback.Loaded / used));
        worth.Observe(feedback);
        var now = Start(expected.Value * loadedShare.Value, transfer.Value, compute.Value, limits.MaxHorizon);
        if (Weigh(now))
            return;
        if (Math.Abs(now - start) > 1)
        {
            (start, Horizon, stalls, overfetched) = (now, Math.Min(now, frugal), 0, 0);
            worth.Restart();
            return;
        }

        stalls = (stalls * Memory) + (late > 0 && feedback.StallSeconds > 0 ? 1 : 0);
        overfetched = (overfetched * Memory) + feedback.OverFetched;
        if (stalls < limits.StallThreshold && overfetched < limits.OverfetchThreshold)
            return;
        // What is farther past its threshold decides: with both, a step either way would only trade one for the other.
        var pressure = (stalls / limits.StallThreshold) - (overfetched / limits.OverfetchThreshold);
        int next = Math.Clamp(Horizon + Math.Sign(pressure), 1, Math.Min(frugal, limits.MaxHorizon));
        // Where planning costs anything, a longer horizon must have something to be compared with.
        if (next > Horizon && worth.Cost > Negligible * compute.Value && !worth.Known)
            return;
        if (next > Horizon)
            worth.Lengthen(Horizon);
        else if (next < Horizon)
            worth.Restart();
        (Horizon, stalls, overfetched) = (next, 0, 0);
    }

    /// <summary>Shortens, ends or resumes looking ahead for its cost. True: that decides this layer.</summary>
    private bool Weigh(int now)
    {
        if (Horizon == 0)
        {
            if (worth.On)
                (start, Horizon, frugal, stalls, overfetched) = (now, now, int.MaxValue, 0, 0);
            return true;
        }
        if (worth.Settled && frugal < limits.MaxHorizon)
        {
            frugal = int.MaxValue;
            worth.Restart();
        }
        int next = worth.Wastes ? Horizon / 2 : worth.LengthenedInVainFrom ?? Horizon;
        if (next == Horizon)
            return false;
        // A horizon that did not pay is not tried again for a while.
        (Horizon, stalls, overfetched) = (next, 0, 0);
        frugal = Horizon;
        if (Horizon == 0)
            worth.Stop();
        else
            worth.Restart();
        return true;
    }
}
