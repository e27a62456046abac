using System.Numerics.Tensors;
using Moebius.Inference.Experts;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// How much each expert will be used: from the predictor for layers inside the horizon, and from how often it was used,
/// recently and over a longer time, for all others and later steps. The cache evicts what is expected least, and a load
/// ahead replaces only what is expected less than itself.
/// </summary>
internal sealed class ReuseEstimate
{
    /// <summary>Weights of a step in the means of use: recently, for a while, and over a long time.</summary>
    private static readonly float[] Weights = [1f / 24, 1f / 256, 1f / 2048];

    /// <summary>Steps that what a mean begins with, every expert alike, counts for.</summary>
    private const int Prior = 8;

    /// <summary>Steps after an expert's next chance whose uses count too: later ones can be loaded for in time.</summary>
    private const float After = 1;

    private readonly float[][][] _means;
    private readonly float[][] _near;
    private readonly long[] _predicted, _ran, _steps;
    private readonly float[] _used;
    private readonly float _floor;
    private long _now;
    private int _current = -1;

    /// <param name="layers">MoE layers.</param>
    /// <param name="experts">Experts of a layer.</param>
    /// <param name="topK">Experts of a token in a layer.</param>
    public ReuseEstimate(int layers, int experts, int topK)
    {
        _floor = 0.002f * topK / experts;
        _means = [.. Weights.Select(_ => Filled(layers, experts, topK / (float)experts))];
        _near = Filled(layers, experts, 0);
        _steps = new long[layers];
        _used = new float[experts];
        (_predicted, _ran) = (new long[layers], new long[layers]);
        Array.Fill(_predicted, -2);
        Array.Fill(_ran, -1);
    }

    /// <summary>A layer used these experts.</summary>
    public void Used(int layer, ReadOnlySpan<int> chosen)
    {
        _now += layer > _current ? layer - _current : layer - _current + _near.Length;
        _current = layer;
        _ran[layer] = _now;
        // At first a mean is over all steps so far, so that what it began with is soon forgotten.
        _steps[layer]++;
        for (var i = 0; i < Weights.Length; i++)
            Fade(_means[i][layer], Math.Max(Weights[i], 1f / (_steps[layer] + Prior)), chosen);
    }

    /// <summary>Probabilities that a layer uses each expert when it runs next, where <see cref="IsPredicted"/>.</summary>
    public ReadOnlySpan<float> Near(int layer) => _near[layer];

    /// <summary>A layer to come was predicted: probabilities that it uses each expert.</summary>
    public void Predicted(int layer, ReadOnlySpan<float> use)
    {
        use.CopyTo(_near[layer]);
        _predicted[layer] = _now;
    }

    /// <summary>Whether there is a prediction that was not made before the layer last ran.</summary>
    public bool IsPredicted(int layer) => _predicted[layer] >= _ran[layer];

    /// <summary>
    /// A measure of how far an expert's next use is: the inverse of the uses expected of it when its layer runs next and
    /// within a step after. The mean time until the next use would be no measure: of an expert that is likely to be used
    /// now and rarely otherwise, it is large.
    /// </summary>
    public long NextUse(ExpertKey key) => (long)(1e6 / Uses(key.Layer, key.Expert));

    /// <summary>The uses expected of an expert when its layer runs next and within a step after.</summary>
    public float Uses(int layer, int expert)
    {
        int layers = _near.Length, wait = layer - _current;
        if (wait <= 0)
            wait += layers;
        float sum = 0;
        foreach (var means in _means)
            sum += means[layer][expert];
        var rate = Math.Max(_floor, sum / _means.Length);
        return (IsPredicted(layer) ? _near[layer][expert] : rate) + ((After - (wait / (float)layers)) * rate);
    }

    /// <summary>The fewest uses that are expected of any expert that is there.</summary>
    public float Least(Residency residency)
    {
        var least = float.PositiveInfinity;
        for (var layer = 0; layer < _near.Length; layer++)
        {
            var present = residency.Of(layer);
            for (var expert = 0; expert < present.Length; expert++)
            {
                if (present[expert])
                    least = Math.Min(least, Uses(layer, expert));
            }
        }
        return least;
    }

    /// <summary>Moves running means towards 1 for what was used and towards 0 for the rest.</summary>
    private void Fade(float[] means, float weight, ReadOnlySpan<int> chosen)
    {
        TensorPrimitives.Multiply(means, 1 - weight, _used);
        foreach (var expert in chosen)
            _used[expert] = means[expert] + (weight * (1 - means[expert]));
        _used.CopyTo(means, 0);
    }

    private static float[][] Filled(int layers, int experts, float value)
    {
        var rows = new float[layers][];
        for (var layer = 0; layer < layers; layer++)
        {
            rows[layer] = new float[experts];
            Array.Fill(rows[layer], value);
        }
        return rows;
    }
}
