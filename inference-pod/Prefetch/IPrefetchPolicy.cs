using Moebius.Inference.Experts;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// Decides which experts to load ahead of their layer. Pure: it sees token ids, routing and gate probabilities, never
/// weights or clocks, so that the engine and the simulator run the same code. Not thread-safe: the compute thread calls
/// it.
/// <para>
/// Every plan replaces the one before: what was asked for, is not in the new plan and has not started loading is no
/// longer wanted. Experts of a plan that are resident are to be kept while it holds. Routing and plans are passed in
/// buffers that are written anew: neither side keeps them beyond the next call.
/// </para>
/// </summary>
internal interface IPrefetchPolicy
{
    /// <summary>Layers ahead that the policy wants <see cref="LayerRouting.Ahead"/> for, at <paramref name="layer"/>; 0 for none.</summary>
    int Horizon(int layer);

    /// <summary>Whether the policy plans in this step; while it does not, experts are loaded on demand.</summary>
    bool LooksAhead => true;

    /// <summary>Whether the policy reads <see cref="LayerRouting.Gate"/> at a layer.</summary>
    bool WantsGate(int layer) => true;

    /// <summary>Whether the policy wants the gate of the layer at a distance, 1..<see cref="Horizon"/>, at this layer.</summary>
    bool Wants(int layer, int distance) => true;

    /// <summary>
    /// When an expert is probably used next, for a cache that evicts what is used last; larger is later. Null leaves
    /// eviction to the cache. Threads that load call it while the compute thread plans: an answer may be a layer old.
    /// </summary>
    Func<ExpertKey, long>? NextUse => null;

    /// <summary>
    /// Where the cache that evicts by <see cref="NextUse"/> says what has a buffer, so that a plan asks for nothing that would
    /// find none; null: the policy does not ask.
    /// </summary>
    Residency? Residency => null;

    /// <summary>Tells the token ids of a step before its first layer, and returns what to load for its first layers.</summary>
    IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens);

    /// <summary>
    /// Tells what a layer's router chose, before its experts run, and returns what to load for later layers, the most
    /// useful first. A later layer past the last wraps to the first layers of the next step. Null: the plan before stands.
    /// </summary>
    IReadOnlyList<PrefetchRequest>? Plan(LayerRouting routing);

    /// <summary>Tells what the plan cost: feeds the horizon's counters.</summary>
    void Observe(PrefetchFeedback feedback);

    /// <summary>
    /// Does a few microseconds of what is not urgent, for a compute thread that waits for an expert and would do nothing.
    /// False: there was nothing to do.
    /// </summary>
    bool WhileWaiting() => false;
}

/// <summary>Routing of one step in one MoE layer.</summary>
/// <param name="Layer">Index among the MoE layers.</param>
/// <param name="Tokens">Tokens of the step.</param>
/// <param name="Chosen">[tokens, top-k] experts, in the router's order.</param>
/// <param name="Gate">[tokens, experts] softmax of the layer's own gate; empty where the policy does not want it.</param>
/// <param name="Ahead">Gates of later layers applied to this layer's router input, the nearest first.</param>
/// <remarks>The arrays are the engine's and are written again for the next layer: who keeps something copies it.</remarks>
internal sealed record LayerRouting(int Layer, int Tokens, int[] Chosen, float[] Gate, IReadOnlyList<PreGate> Ahead);

/// <summary>What the gate of a later layer says of this layer's hidden states.</summary>
/// <param name="Layer">The later MoE layer, modulo the number of layers.</param>
/// <param name="Probabilities">[tokens, experts] softmax of that gate; empty where the policy does not want it.</param>
internal readonly record struct PreGate(int Layer, float[] Probabilities);

/// <summary>An expert worth having in the fast tier.</summary>
/// <param name="Key">The expert.</param>
/// <param name="Score">Estimated probability that its layer uses it the next time that it runs; above 0, at most 1.</param>
internal readonly record struct PrefetchRequest(ExpertKey Key, float Score);

/// <summary>What happened in one layer of one step.</summary>
/// <param name="Layer">Index among the MoE layers.</param>
/// <param name="StallSeconds">Time that compute waited for experts.</param>
/// <param name="Misses">Experts that were wanted and not resident.</param>
/// <param name="OverFetched">Experts loaded ahead and evicted unused since the layer before.</param>
/// <param name="ComputeSeconds">Time of the layer without the stall.</param>
/// <param name="ExpertSeconds">Time the link takes for one expert, as measured so far; 0 when unknown.</param>
/// <param name="Loaded">Experts whose load began since the layer before, ahead or on demand.</param>
internal readonly record struct PrefetchFeedback(int Layer, double StallSeconds, int Misses, int OverFetched, double ComputeSeconds, double ExpertSeconds, int Loaded)
{
    /// <summary>Experts that the layer used, each counted once.</summary>
    public int Used { get; init; }

    /// <summary>Those of <see cref="Loaded"/> that were loaded ahead.</summary>
    public int Ahead { get; init; }

    /// <summary>Those of <see cref="Misses"/> whose load ahead had begun.</summary>
    public int Late { get; init; }

    /// <summary>Those of <see cref="Misses"/> that were planned, but whose load ahead had not begun.</summary>
    public int Queued { get; init; }

    /// <summary>Those of the other <see cref="Misses"/> that had been in memory since the layer last ran.</summary>
    public int EvictedEarly { get; init; }

    /// <summary>Time of the layer's compute thread that went into predicting, learning and planning; part of <see cref="ComputeSeconds"/>.</summary>
    public double PlanSeconds { get; init; }
}
