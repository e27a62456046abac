using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Simulation;

/// <summary>
/// A trace as decode steps of a batch, to be replayed: the trace is cut into as many equal stretches as the batch has
/// sequences, and each step takes the next token of every stretch.
/// </summary>
/// <param name="trace">Routing.</param>
/// <param name="batch">Sequences decoded together.</param>
/// <param name="shape">Of the model that is replayed.</param>
internal abstract class RoutingReplay(RoutingTrace trace, int batch, RoutingShape shape)
{
    private readonly int[]?[] _chosen = new int[trace.Tokens.Length / batch * shape.Layers][];

    public RoutingShape Shape => shape;

    public int Steps { get; } = trace.Tokens.Length / batch;

    /// <summary>What is replayed.</summary>
    protected RoutingTrace Trace => trace;

    /// <summary>Token ids of a step.</summary>
    public int[] Tokens(int step) => [.. Rows(step).Select(row => trace.Tokens[row])];

    /// <summary>[tokens, top-k] experts that a layer of a step uses.</summary>
    public int[] Chosen(int step, int layer)
    {
        ref var chosen = ref _chosen[step * shape.Layers + layer];
        if (chosen is null)
        {
            var experts = new int[batch * shape.TopK];
            foreach (var (at, row) in Rows(step).Index())
                Choose(row, layer, experts.AsSpan(at * shape.TopK, shape.TopK));
            chosen = experts;
        }
        return chosen;
    }

    /// <summary>What a policy sees in a layer, with pre-gates up to a horizon, or as far as there are any.</summary>
    public LayerRouting Routing(int step, int layer, int horizon)
    {
        var ahead = new PreGate[Math.Min(horizon, MaxHorizon(layer))];
        for (var distance = 1; distance <= ahead.Length; distance++)
            ahead[distance - 1] = new PreGate((layer + distance) % shape.Layers, Gate(step, layer, distance));
        return new LayerRouting(layer, batch, Chosen(step, layer), Gate(step, layer, 0), ahead);
    }

    /// <summary>Layers ahead of a layer for which the trace holds what is needed.</summary>
    public abstract int MaxHorizon(int layer);

    /// <summary>The experts that one token of the trace uses in a layer, the best first.</summary>
    protected abstract void Choose(int row, int layer, Span<int> chosen);

    /// <summary>One token's probabilities of the gate that lies a distance ahead of a layer, 0 for its own.</summary>
    protected abstract void Gate(int row, int layer, int distance, Span<float> probabilities);

    private float[] Gate(int step, int layer, int distance)
    {
        var gate = new float[batch * shape.Experts];
        foreach (var (at, row) in Rows(step).Index())
            Gate(row, layer, distance, gate.AsSpan(at * shape.Experts, shape.Experts));
        return gate;
    }

    private IEnumerable<int> Rows(int step) => Enumerable.Range(0, batch).Select(sequence => sequence * Steps + step);
}
