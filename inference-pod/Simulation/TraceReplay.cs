using Moebius.Inference.Prediction;

namespace Moebius.Inference.Simulation;

/// <summary>A trace as it was recorded. Routing of a token does not depend on the batch, so this is exact.</summary>
internal sealed class TraceReplay(RoutingTrace trace, int batch)
    : RoutingReplay(trace, batch, new RoutingShape(trace.Shape.Layers, trace.Shape.Experts, trace.Shape.TopK, trace.Shape.Vocabulary))
{
    public override int MaxHorizon(int layer) => Trace.Shape.Horizon;

    protected override void Choose(int row, int layer, Span<int> chosen)
    {
        foreach (var (at, expert) in Trace.ChosenAt(row, layer).ToArray().Index())
            chosen[at] = expert;
    }

    protected override void Gate(int row, int layer, int distance, Span<float> probabilities) => Trace.GateAt(row, layer, distance, probabilities);
}
