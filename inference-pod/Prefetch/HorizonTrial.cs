namespace Moebius.Inference.Prefetch;

/// <summary>What a trial has shown.</summary>
internal enum TrialVerdict
{
    /// <summary>Nothing yet.</summary>
    Open,

    /// <summary>Layers take less time with the horizon that is tried, beyond chance.</summary>
    Better,

    /// <summary>No difference can be seen.</summary>
    Same,

    /// <summary>Layers take more time with it, beyond chance.</summary>
    Worse,
}

/// <summary>
/// Compares two horizons by the whole time of a layer: computing, planning, waiting, and what loads take from the
/// processors meanwhile. The two take turns, in blocks of layers, so that what changes with the text or the machine changes
/// both; the difference of each pair of blocks is one sample, and a verdict needs a mean difference beyond what chance
/// explains. Pure: the caller tells what layers took.
/// </summary>
/// <param name="kept">The horizon that stands, in layers.</param>
/// <param name="tried">The other.</param>
internal sealed class HorizonTrial(int kept, int tried)
{
    /// <summary>Layers of a block that count, at least: a block ends with a step, so that it holds all layers alike.</summary>
    public const int Block = 64;

    /// <summary>Layers after a change of the horizon that do not count, at least: they live on what was loaded before it.</summary>
    public const int Settling = 24;

    /// <summary>Pairs of blocks before a verdict.</summary>
    public const int LeastPairs = 3;

    /// <summary>Pairs of blocks after which two horizons count as the same.</summary>
    public const int MostPairs = 24;

    /// <summary>A difference below this share of a layer's time is none, once it is known that exactly.</summary>
    public const double Tolerance = 0.03;

    private double _sum, _squares, _time, _block, _other;
    private int _layers, _blocks, _last = int.MaxValue;
    private bool _settling;

    /// <summary>The horizon that is tried.</summary>
    public int Tried => tried;

    /// <summary>The horizon whose turn it is. Each pair has another order than the one before: kept, tried; tried, kept.</summary>
    public int Horizon => _blocks % 4 is 1 or 2 ? tried : kept;

    /// <summary>What is known so far.</summary>
    public TrialVerdict Verdict { get; private set; }

    /// <summary>
    /// How many standard deviations of the mean difference a verdict needs: more while there are few pairs, and enough for
    /// looking after each pair. Of trials between equals one in ten ends with a verdict, which costs nothing.
    /// </summary>
    public static double Beyond(int pairs) => 2.8 + (4.0 / (pairs - 1));

    /// <summary>Takes in a layer that ran with <see cref="Horizon"/>.</summary>
    /// <param name="layer">Its index; a step begins where it does not grow.</param>
    /// <param name="seconds">All of its time.</param>
    public void Observe(int layer, double seconds)
    {
        _layers++;
        bool begins = layer <= _last;
        _last = layer;
        if (!_settling)
            _block += seconds;
        // The layer that begins a step tells that the one before is complete; a few layers more in one block harm nothing.
        if (!begins || _layers < (_settling ? Settling : Block))
            return;
        if (_settling)
            (_settling, _layers) = (false, 0);
        else
            End(_block / _layers);
    }

    private void End(double mean)
    {
        var before = Horizon;
        _time += mean;
        if (_blocks % 2 == 1)
        {
            double difference = before == tried ? mean - _other : _other - mean;
            _sum += difference;
            _squares += difference * difference;
            Judge((_blocks + 1) / 2);
        }
        _other = mean;
        _blocks++;
        (_block, _layers, _settling) = (0, 0, Horizon != before);
    }

    private void Judge(int pairs)
    {
        if (pairs < LeastPairs)
            return;
        double mean = _sum / pairs, time = _time / (2 * pairs);
        double variance = Math.Max(0, (_squares / pairs) - (mean * mean)) * pairs / (pairs - 1);
        double chance = Beyond(pairs) * Math.Sqrt(variance / pairs);
        if (Math.Abs(mean) > Math.Max(chance, 1e-6 * time))
            Verdict = mean < 0 ? TrialVerdict.Better : TrialVerdict.Worse;
        else if (pairs >= MostPairs || chance <= Tolerance * time)
            Verdict = TrialVerdict.Same;
    }
}
