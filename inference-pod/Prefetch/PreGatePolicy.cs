using Moebius.Inference.Experts;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// Loads what the gates of the next layers choose for the current hidden states: the pre-gate alone, a fixed number of
/// layers ahead. The nearest layer comes first, and in a layer the experts that most tokens choose.
/// </summary>
/// <param name="horizon">Layers ahead, at least 1.</param>
/// <param name="layers">MoE layers of the model; the horizon is less.</param>
/// <param name="topK">Experts of a token.</param>
internal sealed class PreGatePolicy(int horizon, int layers, int topK) : IPrefetchPolicy
{
    private readonly int _horizon = Math.Min(horizon, layers - 1);

    /// <summary>As far as the last layer: the next step's first layers see other tokens.</summary>
    public int Horizon(int layer) => Math.Min(_horizon, layers - 1 - layer);

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => [];

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        var plan = new List<PrefetchRequest>();
        foreach (var (layer, probabilities) in routing.Ahead)
        {
            int experts = probabilities.Length / routing.Tokens;
            float[] scores = new float[experts];
            for (int token = 0; token < routing.Tokens; token++)
                AddChosen(probabilities.AsSpan(token * experts, experts), scores);
            plan.AddRange(Enumerable.Range(0, experts).Where(e => scores[e] > 0).OrderByDescending(e => scores[e])
                .Select(e => new PrefetchRequest(new ExpertKey(layer, e), Math.Min(1, scores[e]))));
        }
        return plan;
    }

    public void Observe(PrefetchFeedback feedback)
    {
    }

    /// <summary>Adds the probabilities of a token's best experts.</summary>
    private void AddChosen(ReadOnlySpan<float> probabilities, float[] scores)
    {
        Span<bool> taken = stackalloc bool[probabilities.Length];
        for (int choice = 0; choice < topK; choice++)
        {
            int best = -1;
            for (int e = 0; e < probabilities.Length; e++)
            {
                if (!taken[e] && (best < 0 || probabilities[e] > probabilities[best]))
                    best = e;
            }
            taken[best] = true;
            scores[best] += probabilities[best];
        }
    }
}
