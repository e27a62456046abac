using Moebius.Inference.Experts;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// How much each expert will be used: from the predictor for layers inside the horizon, and from how often it was used,
/// recently and over a longer time, for all others and later steps. The cache evicts what is expected least, and a load
/// ahead replaces only what is expected less than itself.
/// </summary>
internal sealed class ReuseEstimate
{
    /// <summary>Steps over which recent and lasting use are averaged.</summary>
    private const float Recent = 1f / 24, Lasting = 1f / 256;

    /// <summary>Steps after an expert's next chance whose uses count too: later ones can be loaded for in time.</summary>
    private const float After = 1;

    private readonly float[][] _recent, _lasting, _near;
    private readonly long[] _predicted, _ran;
    private readonly float _floor;
    private long _now;
    private int _current = -1;

    /// <param name="layers">MoE layers.</param>
    /// <param name="experts">Experts of a layer.</param>
    /// <param name="topK">Experts of a token in a layer.</param>
    public ReuseEstimate(int layers, int experts, int topK)
    {
        _floor = 0.02f * topK / experts;
        _recent = Filled(layers, experts, topK / (float)experts);
        _lasting = Filled(layers, experts, topK / (float)experts);
        _near = Filled(layers, experts, 0);
        (_predicted, _ran) = (new long[layers], new long[layers]);
        Array.Fill(_predicted, -1);
    }

    /// <summary>A layer used these experts.</summary>
    public void Used(int layer, ReadOnlySpan<int> chosen)
    {
        _now += layer > _current ? layer - _current : layer - _current + _recent.Length;
        _current = layer;
        _ran[layer] = _now;
        Span<bool> used = stackalloc bool[_recent[layer].Length];
        used.Clear();
        foreach (int expert in chosen)
            used[expert] = true;
        for (int e = 0; e < used.Length; e++)
        {
            float use = used[e] ? 1 : 0;
            _recent[layer][e] += Recent * (use - _recent[layer][e]);
            _lasting[layer][e] += Lasting * (use - _lasting[layer][e]);
        }
    }

    /// <summary>A layer to come was predicted: probabilities that it uses each expert.</summary>
    public void Predicted(int layer, ReadOnlySpan<float> use)
    {
        use.CopyTo(_near[layer]);
        _predicted[layer] = _now;
    }

    /// <summary>
    /// A measure of how far an expert's next use is: the inverse of the uses expected of it when its layer runs next and
    /// within a step after. The mean time until the next use would be no measure: of an expert that is likely to be used
    /// now and rarely otherwise, it is large.
    /// </summary>
    public long NextUse(ExpertKey key)
    {
        int layers = _recent.Length, wait = key.Layer - _current;
        if (wait <= 0)
            wait += layers;
        float rate = Math.Max(_floor, (_recent[key.Layer][key.Expert] + _lasting[key.Layer][key.Expert]) / 2);
        // A prediction made before the layer last ran is spent.
        bool predicted = _predicted[key.Layer] >= 0 && (_predicted[key.Layer] > _ran[key.Layer] || (_predicted[key.Layer] == _ran[key.Layer] && wait == layers));
        float uses = (predicted ? _near[key.Layer][key.Expert] : rate) + ((After - (wait / (float)layers)) * rate);
        return (long)(1e6 / uses);
    }

    private static float[][] Filled(int layers, int experts, float value)
    {
        float[][] rows = new float[layers][];
        for (int layer = 0; layer < layers; layer++)
        {
            rows[layer] = new float[experts];
            Array.Fill(rows[layer], value);
        }
        return rows;
    }
}
