using Moebius.Inference.Simulation;

namespace Moebius.Inference.Prediction;

/// <summary>
/// Teaches a predictor routing that was recorded, before it serves; the paper trains its predictor beforehand, too. It
/// sees what a policy would show it: from each layer every distance up to a horizon, past the last layer as well, and from the
/// token ids all layers. Once: on held-out text a
/// second and a fourth pass over the same routing made it no better (docs/decisions/0006-routing-predictor.md).
/// </summary>
internal static class PredictorTraining
{
    /// <summary>Teaches a recorded text, one sequence after the other, at every distance that it has.</summary>
    /// <param name="trace">Routing.</param>
    /// <param name="predictor">Learns; null: one that begins with nothing.</param>
    /// <returns>The predictor.</returns>
    public static RoutingPredictor Run(RoutingTrace trace, RoutingPredictor? predictor)
    {
        var source = new TraceReplay(trace, 1);
        predictor ??= new RoutingPredictor(source.Shape);
        Run(source, predictor, trace.Shape.Horizon);
        return predictor;
    }

    /// <param name="source">Routing.</param>
    /// <param name="predictor">Learns.</param>
    /// <param name="horizon">Layers ahead, 1 or more.</param>
    public static void Run(RoutingReplay source, RoutingPredictor predictor, int horizon)
    {
        var use = new float[source.Shape.Experts];
        horizon = Math.Min(horizon, source.Shape.Layers);
        for (var step = 0; step < source.Steps; step++)
        {
            predictor.Begin(source.Tokens(step));
            for (var distance = 1; distance <= source.Shape.Layers; distance++)
                predictor.Predict(null, distance, use);
            for (var layer = 0; layer < source.Shape.Layers; layer++)
            {
                predictor.Learn(layer, source.Chosen(step, layer));
                var routing = source.Routing(step, layer, horizon);
                for (var distance = 1; distance <= routing.Ahead.Count; distance++)
                    predictor.Predict(routing, distance, use);
            }
        }
    }
}
