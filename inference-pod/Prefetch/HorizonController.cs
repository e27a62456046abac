namespace Moebius.Inference.Prefetch;

/// <summary>Bounds and thresholds of the horizon; the fields of <c>spec.experts.prefetch</c>.</summary>
/// <param name="MaxHorizon">Largest horizon, at least 1.</param>
/// <param name="StallThreshold">Stalls that raise it by one, at least 1.</param>
/// <param name="OverfetchThreshold">Experts loaded ahead in vain that lower it by one, at least 1.</param>
internal sealed record HorizonLimits(int MaxHorizon, int StallThreshold, int OverfetchThreshold);

/// <summary>
/// How many layers ahead to load (section on the adaptive step size of ExpertFlow, arXiv 2510.26730). It starts where
/// loading what a layer is expected to need takes as long as computing the layers in between. Then stalls of experts that
/// were foreseen too late raise it and loads in vain lower it, one layer at a time. When the batch or the machine changes
/// so much that the start would lie elsewhere by more than one, it starts there again.
/// </summary>
internal sealed class HorizonController(HorizonLimits limits)
{
    /// <summary>Weight of a new measurement in the running means.</summary>
    private const double Weight = 1.0 / 32;

    private double expected;
    private double loadedShare = 1;
    private double compute;
    private double transfer;
    private int start;
    private int stalls;
    private int overfetched;

    /// <summary>The horizon now, in layers: 1..MaxHorizon.</summary>
    public int Horizon { get; private set; } = 1;

    /// <summary>Where the horizon starts with these figures: far enough for one load, or for all that a layer needs.</summary>
    /// <param name="experts">Experts that have to be loaded for a layer.</param>
    /// <param name="expertSeconds">Time the link takes for one.</param>
    /// <param name="computeSeconds">Time of a layer without stalls.</param>
    /// <param name="maxHorizon">Bound.</param>
    public static int Start(double experts, double expertSeconds, double computeSeconds, int maxHorizon) =>
        expertSeconds <= 0 || computeSeconds <= 0 ? 1 : (int)Math.Clamp(Math.Ceiling(Math.Max(1, experts) * expertSeconds / computeSeconds), 1, maxHorizon);

    /// <summary>Tells how many distinct experts the next layer is expected to use: it grows with the batch's diversity.</summary>
    public void Expect(double experts) => expected = Mean(expected, experts);

    /// <summary>Takes in what happened in a layer.</summary>
    /// <param name="feedback">Costs of the layer.</param>
    /// <param name="used">Distinct experts that it used.</param>
    /// <param name="late">Those of its misses that had been foreseen: only they say that the horizon is short.</param>
    public void Observe(PrefetchFeedback feedback, int used, int late)
    {
        if (feedback.ComputeSeconds > 0)
            compute = Mean(compute, feedback.ComputeSeconds);
        if (feedback.ExpertSeconds > 0)
            transfer = Mean(transfer, feedback.ExpertSeconds);
        if (used > 0)
            loadedShare = Mean(loadedShare, Math.Min(1, (double)feedback.Loaded / used));
        var now = Start(expected * loadedShare, transfer, compute, limits.MaxHorizon);
        if (Math.Abs(now - start) > 1)
        {
            (start, Horizon, stalls, overfetched) = (now, now, 0, 0);
            return;
        }

        stalls += late > 0 && feedback.StallSeconds > 0 ? 1 : 0;
        overfetched += feedback.OverFetched;
        if (stalls < limits.StallThreshold && overfetched < limits.OverfetchThreshold)
            return;
        // What is farther past its threshold decides: with both, a step either way would only trade one for the other.
        var pressure = ((double)stalls / limits.StallThreshold) - ((double)overfetched / limits.OverfetchThreshold);
        Horizon = Math.Clamp(Horizon + Math.Sign(pressure), 1, limits.MaxHorizon);
        (stalls, overfetched) = (0, 0);
    }

    private static double Mean(double mean, double value) => mean == 0 ? value : mean + (Weight * (value - mean));
}
