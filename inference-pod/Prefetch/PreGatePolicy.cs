using Moebius.Inference.Experts;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// Loads what the gate of the layer a fixed number of layers ahead chooses on the current hidden state: each token's
/// top k. One layer ahead it is the pre-gate of Pre-gated MoE.
/// </summary>
/// <param name="distance">Layers ahead, 1..layers.</param>
internal sealed class PreGatePolicy(int distance) : IPrefetchPolicy
{
    /// <summary>What was planned for layers that have not run yet, the next one first.</summary>
    private readonly Queue<PrefetchRequest[]> _plans = new();

    public int Horizon(int layer) => distance;

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => [.. _plans.SelectMany(plan => plan)];

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        var ahead = routing.Ahead[distance - 1];
        int experts = ahead.Probabilities.Length / routing.Tokens, k = routing.Chosen.Length / routing.Tokens;
        var mass = new float[experts];
        for (var token = 0; token < routing.Tokens; token++)
        {
            var row = ahead.Probabilities[(token * experts)..((token + 1) * experts)];
            int[] order = [.. Enumerable.Range(0, experts)];
            Array.Sort([.. row.Select(p => -p)], order);
            foreach (var expert in order.AsSpan(0, k))
                mass[expert] = Math.Max(mass[expert], row[expert]);
        }

        if (_plans.Count == distance)
            _plans.Dequeue();
        _plans.Enqueue([.. Enumerable.Range(0, experts)
            .Where(expert => mass[expert] > 0)
            .OrderByDescending(expert => mass[expert])
            .Select(expert => new PrefetchRequest(new ExpertKey(ahead.Layer, expert), mass[expert]))]);
        return [.. _plans.SelectMany(plan => plan)];
    }

    public void Observe(PrefetchFeedback feedback)
    {
    }
}
