namespace Moebius.Inference.Prefetch;

/// <summary>
/// Compares horizons by the whole time of a layer: computing, planning, waiting, and what loads take from the processors
/// meanwhile. In each round every horizon that is left has a turn, a block of whole steps, so that what changes with the text
/// or the machine meets all of them; what is worse than the best beyond chance drops out, now and then the
/// worse half too, and the best of those that are left at the end wins. Pure: the caller tells what layers took.
/// </summary>
internal sealed class HorizonContest
{
    /// <summary>Layers of a block that count, at least: a block ends with a step, so that it holds all layers alike.</summary>
    public const int Block = 64;

    /// <summary>Layers after a change of the horizon that do not count, at least: they live on what was loaded before it.</summary>
    public const int Settling = 24;

    /// <summary>Rounds before a horizon drops out.</summary>
    public const int LeastRounds = 3;

    /// <summary>Rounds after which the best wins.</summary>
    public const int MostRounds = 12;

    /// <summary>Rounds after which at most half stay, so that a contest between equals does not take long.</summary>
    public const int Halving = 4;

    /// <summary>A difference below this share of a layer's time is none, once it is known that exactly: the shorter wins.</summary>
    public const double Tolerance = 0.005;

    private readonly List<Entry> _left;
    private int _turn, _rounds, _layers;
    private double _seconds;
    private bool _settling = true;

    /// <param name="horizons">At least one, each once.</param>
    public HorizonContest(IEnumerable<int> horizons)
    {
        _left = [.. horizons.Order().Select(horizon => new Entry(horizon))];
        (Horizon, Winner) = (_left[0].Horizon, _left.Count == 1 ? _left[0].Horizon : null);
    }

    /// <summary>The horizon whose turn it is.</summary>
    public int Horizon { get; private set; }

    /// <summary>The best one, once the contest is over.</summary>
    public int? Winner { get; private set; }

    /// <summary>
    /// How many standard deviations a horizon has to be behind to drop out: enough for looking after each round, and more
    /// while the deviation itself is hardly known.
    /// </summary>
    /// <param name="freedom">Degrees of freedom of the deviation, at least 1.</param>
    public static double Beyond(int freedom) => 2.5 + (8.0 / freedom);

    /// <summary>Takes in a layer that ran with <see cref="Horizon"/>.</summary>
    /// <param name="seconds">All of its time.</param>
    public void Observe(double seconds)
    {
        _layers++;
        _seconds += seconds;
    }

    /// <summary>A step is complete: the horizon changes nowhere else.</summary>
    public void EndStep()
    {
        if (Winner is not null || _layers < (_settling ? Settling : Block))
            return;
        if (!_settling)
            EndBlock();
        (_layers, _seconds, _settling) = (0, 0, !_settling && _left[Turn].Horizon != Horizon);
        Horizon = _left[Turn].Horizon;
    }

    /// <summary>Every other round goes backwards: who comes late in one comes early in the next.</summary>
    private int Turn => _rounds % 2 == 0 ? _turn : _left.Count - 1 - _turn;

    private void EndBlock()
    {
        _left[Turn].Add(_seconds / _layers);
        if (++_turn < _left.Count)
            return;
        (_turn, _rounds) = (0, _rounds + 1);
        if (_rounds >= LeastRounds)
            Judge();
    }

    private void Judge()
    {
        var best = _left.MinBy(entry => entry.Mean)!;
        var chance = Math.Max(Chance(), Tolerance * best.Mean);
        _left.RemoveAll(entry => entry.Mean - best.Mean > chance);
        if (_left.Count > 1 && _rounds < MostRounds && chance > Tolerance * best.Mean)
        {
            Halve();
            return;
        }
        // The list is in order.
        Winner = _left.First(entry => entry.Mean <= (1 + Tolerance) * best.Mean).Horizon;
        _left.RemoveAll(entry => entry.Horizon != Winner);
    }

    private void Halve()
    {
        if (_rounds % Halving != 0)
            return;
        var most = _left.Select(entry => entry.Mean).Order().ElementAt(((_left.Count + 1) / 2) - 1);
        if (_left.Count > 2)
            _left.RemoveAll(entry => entry.Mean > most);
    }

    /// <summary>How far two means lie apart by chance: by what is neither the horizon's nor the round's, pooled over all that are left.</summary>
    private double Chance()
    {
        double all = _left.Average(entry => entry.Mean), squares = 0;
        for (var round = 0; round < _rounds; round++)
        {
            var at = round;
            var level = _left.Average(entry => entry.Rounds[at]) - all;
            squares += _left.Sum(entry => Math.Pow(entry.Rounds[at] - entry.Mean - level, 2));
        }
        var freedom = (_left.Count - 1) * (_rounds - 1);
        return Beyond(freedom) * Math.Sqrt(2 * squares / freedom / _rounds);
    }

    /// <summary>A horizon, and its mean seconds a layer in each round.</summary>
    private sealed record Entry(int Horizon)
    {
        public List<double> Rounds { get; } = new(MostRounds);

        public double Mean { get; private set; }

        public void Add(double mean)
        {
            Rounds.Add(mean);
            Mean = Rounds.Average();
        }
    }
}
