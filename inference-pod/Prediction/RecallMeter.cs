using Moebius.Inference.Prefetch;
using Moebius.Inference.Simulation;

namespace Moebius.Inference.Prediction;

/// <summary>How well predictions at one distance met what routers then chose.</summary>
/// <param name="Distance">Layers ahead; 0 is the first layer, from the token ids and what it used in the step before.</param>
/// <param name="Recall">Share of the uses (layer, expert) that the predicted set holds.</param>
/// <param name="Precision">Share of the predicted set that was used.</param>
/// <param name="SetSize">Mean size of the predicted set.</param>
/// <param name="RecallAtK">Recall of as many experts as were used, the likeliest.</param>
/// <param name="PreGateAtK">The same of the bare pre-gate.</param>
internal sealed record HorizonRecall(int Distance, double Recall, double Precision, double SetSize, double RecallAtK, double PreGateAtK);

/// <summary>
/// Replays routing past a predictor, which learns online, and counts its predictions inside a step at every distance.
/// </summary>
internal static class RecallMeter
{
    /// <param name="source">Routing.</param>
    /// <param name="predictor">It goes on learning.</param>
    /// <param name="threshold">Probability from which an expert is in the predicted set.</param>
    /// <param name="count">False: only learn.</param>
    public static IReadOnlyList<HorizonRecall> Measure(RoutingReplay source, RoutingPredictor predictor, float threshold, bool count = true)
    {
        var layers = source.Shape.Layers;
        var tallies = Enumerable.Range(0, layers).Select(distance => new Tally(distance)).ToArray();
        var use = new float[source.Shape.Experts];
        for (var step = 0; step < source.Steps; step++)
        {
            predictor.Begin(source.Tokens(step));
            predictor.Predict(null, 1, use);
            if (count)
                tallies[0].Add(use, source.Chosen(step, 0), threshold, []);
            for (var layer = 0; layer < layers; layer++)
            {
                predictor.Learn(layer, source.Chosen(step, layer));
                var routing = source.Routing(step, layer, layers - 1 - layer);
                for (var distance = 1; distance <= routing.Ahead.Count; distance++)
                {
                    predictor.Predict(routing, distance, use);
                    if (count)
                        tallies[distance].Add(use, source.Chosen(step, layer + distance), threshold, PreGateSum(routing, distance));
                }
            }
        }
        return [.. tallies.Where(tally => tally.Used > 0).Select(tally => tally.Result())];
    }

    private static float[] PreGateSum(LayerRouting routing, int distance)
    {
        var gate = routing.Ahead[distance - 1].Probabilities;
        var sum = new float[gate.Length / routing.Tokens];
        for (var i = 0; i < gate.Length; i++)
            sum[i % sum.Length] += gate[i];
        return sum;
    }

    private sealed class Tally(int distance)
    {
        private long _hits, _size, _best, _preGate, _predictions;

        public long Used { get; private set; }

        public void Add(ReadOnlySpan<float> use, int[] chosen, float threshold, float[] preGate)
        {
            int[] used = [.. chosen.Distinct()];
            Used += used.Length;
            _predictions++;
            foreach (var probability in use)
                _size += probability >= threshold ? 1 : 0;
            foreach (var expert in used)
            {
                _hits += use[expert] >= threshold ? 1 : 0;
                _best += Rank(use, expert) < used.Length ? 1 : 0;
                _preGate += preGate.Length > 0 && Rank(preGate, expert) < used.Length ? 1 : 0;
            }
        }

        public HorizonRecall Result() => new(
            distance, _hits / (double)Used, _hits / (double)Math.Max(1, _size), _size / (double)_predictions, _best / (double)Used, _preGate / (double)Used);

        private static int Rank(ReadOnlySpan<float> scores, int expert)
        {
            var better = 0;
            for (var e = 0; e < scores.Length; e++)
                better += scores[e] > scores[expert] || (scores[e] == scores[expert] && e < expert) ? 1 : 0;
            return better;
        }
    }
}
