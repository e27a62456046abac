namespace Moebius.Inference.Prefetch;

/// <summary>
/// From how many layers before each layer is first predicted. Where planning takes a share of a layer that is worth weighing, a
/// layer is predicted only twice: when it comes inside the horizon, and right before it runs. A layer whose routing the token ids foretell
/// less than that of others gets what it needs late at a horizon that is enough for them: it is predicted from farther, which
/// takes no more predictions. By the late loads of each layer, as the horizon's counters go by those of all. Pure.
/// </summary>
/// <param name="layers">MoE layers.</param>
/// <param name="maxHorizon">Most layers ahead.</param>
internal sealed class LayerReach(int layers, int maxHorizon)
{
    /// <summary>Late loads, in the mean of the layers, that say enough: their number is known to an eighth.</summary>
    public const int Enough = 64;

    /// <summary>A layer with so many times the mean is predicted from farther; one with less than <see cref="Few"/> of it from nearer, where more is known.</summary>
    public const double Many = 1.25, Few = 0.5;

    private readonly int[] _own = new int[layers], _late = new int[layers];
    private int _horizon, _sum;

    /// <summary>Layers before <paramref name="layer"/> from which it is first predicted, at least the horizon.</summary>
    public int Of(int layer, int horizon) => Math.Max(horizon, _own[layer]);

    /// <summary>How far the farthest layer is that is first predicted from <paramref name="layer"/>.</summary>
    public int From(int layer, int horizon)
    {
        for (var distance = Math.Min(maxHorizon, layers - 1 - layer); distance > horizon; distance--)
        {
            if (_own[layer + distance] == distance)
                return distance;
        }
        return horizon;
    }

    /// <summary>Takes in what came late in a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="horizon">The horizon at that time, at least 1: counts are of one horizon.</param>
    /// <param name="late">Experts that were foreseen, and came late.</param>
    public void Observe(int layer, int horizon, int late)
    {
        if (horizon != _horizon)
            Restart(horizon);
        // What lies in the step before is not predicted from farther: the token is unknown there.
        if (layer <= horizon)
            return;
        _late[layer] += late;
        _sum += late;
        var mean = (double)_sum / (layers - 1 - horizon);
        if (mean < Enough)
            return;
        for (var each = horizon + 1; each < layers; each++)
        {
            if (_late[each] > Many * mean)
                _own[each] = Math.Min(Of(each, horizon) + 1, Math.Min(each, maxHorizon));
            else if (_late[each] < Few * mean)
                _own[each] = Math.Max(0, _own[each] - 1);
        }
        Restart(horizon);
    }

    private void Restart(int horizon)
    {
        (_horizon, _sum) = (horizon, 0);
        Array.Clear(_late);
    }
}
