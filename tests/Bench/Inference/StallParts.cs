using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;

namespace Moebius.Bench.Inference;

/// <summary>
/// Passes everything on to a policy and adds up what the engine tells it: how far it looks, what planning takes, and what
/// the waiting was for. A layer's stall is shared alike by the experts that it waited for.
/// </summary>
internal sealed class StallParts(IPrefetchPolicy policy) : IPrefetchPolicy
{
    public int Layers { get; private set; }

    public double Horizons { get; private set; }

    /// <summary>Seconds of planning.</summary>
    public double Planning { get; private set; }

    /// <summary>Seconds of stall for experts whose load ahead had begun, or that were planned.</summary>
    public double Late { get; private set; }

    /// <summary>Seconds of stall for experts that were in memory since their layer last ran.</summary>
    public double EvictedEarly { get; private set; }

    /// <summary>Seconds of stall for all others.</summary>
    public double Unforeseen { get; private set; }

    public Func<ExpertKey, long>? NextUse => policy.NextUse;

    public Residency? Residency => policy.Residency;

    public bool LooksAhead => policy.LooksAhead;

    public int Horizon(int layer) => policy.Horizon(layer);

    public bool WantsGate(int layer) => policy.WantsGate(layer);

    public bool Wants(int layer, int distance) => policy.Wants(layer, distance);

    public bool WhileWaiting() => policy.WhileWaiting();

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => policy.Begin(tokens);

    public IReadOnlyList<PrefetchRequest>? Plan(LayerRouting routing) => policy.Plan(routing);

    public void Observe(PrefetchFeedback feedback)
    {
        Layers++;
        Horizons += policy.Horizon(feedback.Layer);
        Planning += feedback.PlanSeconds;
        var each = feedback.StallSeconds / Math.Max(1, feedback.Misses);
        Late += (feedback.Late + feedback.Queued) * each;
        EvictedEarly += feedback.EvictedEarly * each;
        Unforeseen += (feedback.Misses - feedback.Late - feedback.Queued - feedback.EvictedEarly) * each;
        policy.Observe(feedback);
    }

    /// <summary>Counts from now on.</summary>
    public void Restart() => (Layers, Horizons, Planning, Late, EvictedEarly, Unforeseen) = (0, 0, 0, 0, 0, 0);
}
