using System.Numerics.Tensors;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Simulation;

/// <summary>
/// A trace of a small model in the shape of a larger one. SYNTHETIC: it keeps the small model's popularity, temporal
/// locality and how well gates foretell later gates, and nothing else of the larger model.
/// <list type="bullet">
/// <item>Depth: layer j of the larger model lies at depth j * L / L' of the small one, between two of its layers; its gate
/// is the blend of theirs, in logits, by nearness. The pre-gate of a later layer is the same blend of the recorded
/// pre-gates, so it is exact at no distance and fades as it does in the small model over the same share of the depth.</item>
/// <item>Experts: each expert is split into as many as are needed. Which of them a token prefers is decided by the
/// gate's value for an unrelated expert, plus and minus, so that it varies from token to token and is as hard to foretell
/// as the rest.</item>
/// <item>Choice: the top k of these logits. Experts of different layers are numbered independently of each other.</item>
/// </list>
/// </summary>
internal sealed class StretchedReplay : RoutingReplay
{
    /// <summary>How strongly the unrelated expert decides between the parts of a split one.</summary>
    private const float Split = 0.5f;

    private readonly int[][] _labels;

    /// <param name="trace">With pre-gates for all its layers: recorded with the horizon that the model allows.</param>
    /// <param name="shape">The larger model; its vocabulary is that of the trace.</param>
    /// <param name="batch">Sequences decoded together.</param>
    public StretchedReplay(RoutingTrace trace, RoutingShape shape, int batch)
        : base(trace, batch, shape with { Vocabulary = trace.Shape.Vocabulary })
    {
        var random = new Random(20251026);
        _labels = new int[shape.Layers][];
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            _labels[layer] = [.. Enumerable.Range(0, shape.Experts)];
            random.Shuffle(_labels[layer]);
        }
    }

    public override int MaxHorizon(int layer)
    {
        var horizon = 0;
        while (horizon < Shape.Layers && Depth(layer + horizon + 1).Later - (int)Depth(layer).Position <= Trace.Shape.Horizon)
            horizon++;
        return horizon;
    }

    protected override void Choose(int row, int layer, Span<int> chosen)
    {
        var logits = new float[Shape.Experts];
        Logits(row, layer, 0, logits);
        int[] order = [.. Enumerable.Range(0, Shape.Experts)];
        Array.Sort([.. logits.Select(v => -v)], order);
        order.AsSpan(0, Shape.TopK).CopyTo(chosen);
    }

    protected override void Gate(int row, int layer, int distance, Span<float> probabilities)
    {
        Logits(row, layer, distance, probabilities);
        TensorPrimitives.SoftMax(probabilities, probabilities);
    }

    /// <summary>Logits of the layer at a distance, as the hidden state of <paramref name="layer"/> has them.</summary>
    private void Logits(int row, int layer, int distance, Span<float> logits)
    {
        int from = (int)Depth(layer).Position, n = Trace.Shape.Experts;
        var (position, later) = Depth(layer + distance);
        int near = (int)position, source = Math.Min(from, Trace.Shape.Layers - 1);
        Span<float> first = stackalloc float[n], second = stackalloc float[n];
        // A layer's own gate is known exactly: it may look at both of its neighbours as they really are.
        Recorded(row, distance == 0 ? near : source, distance == 0 ? 0 : near - source, first);
        Recorded(row, distance == 0 ? later : source, distance == 0 ? 0 : later - source, second);
        var share = (float)(position - near);
        float mean = 0;
        for (var e = 0; e < n; e++)
        {
            first[e] = (1 - share) * first[e] + share * second[e];
            mean += first[e] / n;
        }
        var labels = _labels[(layer + distance) % Shape.Layers];
        for (var e = 0; e < Shape.Experts; e++)
        {
            int of = e % n, part = e / n;
            var other = Split * (first[(of * 7 + 5 * (part / 2) + 3) % n] - mean);
            logits[labels[e]] = first[of] + (part % 2 == 0 ? other : -other);
        }
    }

    /// <summary>Logarithms of a recorded gate.</summary>
    private void Recorded(int row, int layer, int distance, Span<float> logits)
    {
        Trace.GateAt(row, layer, distance, logits);
        TensorPrimitives.Log(logits, logits);
    }

    /// <summary>Where a layer lies among the layers of the trace, and the later of the two around it.</summary>
    private (double Position, int Later) Depth(int layer)
    {
        int layers = Trace.Shape.Layers, step = layer / Shape.Layers;
        var within = (double)(layer % Shape.Layers) * layers / Shape.Layers;
        // The last layer's neighbour would be of the next step: it is its own.
        var later = Math.Min((int)within + 1, layers - 1);
        return (within + step * layers, later + step * layers);
    }
}
