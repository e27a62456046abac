using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Simulation;

/// <summary>
/// A trace as decode steps of a batch: the trace is cut into as many equal stretches as the batch has sequences, and each
/// step takes the next token of every stretch. Routing of a token does not depend on the batch, so this is exact.
/// </summary>
internal sealed class TraceReplay(RoutingTrace trace, int batch) : IRoutingSource
{
    private readonly int[]?[] _chosen = new int[trace.Tokens.Length / batch * trace.Shape.Layers][];

    public RoutingShape Shape { get; } = new(trace.Shape.Layers, trace.Shape.Experts, trace.Shape.TopK, trace.Shape.Vocabulary);

    public int Steps { get; } = trace.Tokens.Length / batch;

    public int[] Tokens(int step) => [.. Rows(step).Select(row => trace.Tokens[row])];

    public int[] Chosen(int step, int layer) => _chosen[step * Shape.Layers + layer] ??= Choose(step, layer);

    private int[] Choose(int step, int layer)
    {
        var k = Shape.TopK;
        var chosen = new int[batch * k];
        var at = 0;
        foreach (var row in Rows(step))
        {
            foreach (var expert in trace.ChosenAt(row, layer))
                chosen[at++] = expert;
        }
        return chosen;
    }

    public LayerRouting Routing(int step, int layer, int horizon)
    {
        var ahead = new PreGate[horizon];
        for (var distance = 1; distance <= horizon; distance++)
            ahead[distance - 1] = new PreGate((layer + distance) % Shape.Layers, Gate(step, layer, distance));
        return new LayerRouting(layer, batch, Chosen(step, layer), Gate(step, layer, 0), ahead);
    }

    private float[] Gate(int step, int layer, int distance)
    {
        var gate = new float[batch * Shape.Experts];
        var at = 0;
        foreach (var row in Rows(step))
            trace.GateAt(row, layer, distance, gate.AsSpan(at++ * Shape.Experts, Shape.Experts));
        return gate;
    }

    private IEnumerable<int> Rows(int step) => Enumerable.Range(0, batch).Select(sequence => sequence * Steps + step);
}
