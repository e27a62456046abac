namespace Moebius.Inference.Prefetch;

/// <summary>A mean over the last values or so, right from the first one on.</summary>
/// <param name="weight">Of a new value: 1 / n stands for the last n or so.</param>
internal sealed class DecayingMean(double weight)
{
    private double _sum, _total;

    public double Value => _total == 0 ? 0 : _sum / _total;

    public void Add(double value)
    {
        _sum += weight * (value - _sum);
        _total += weight * (1 - _total);
    }
}

/// <summary>
/// The lower quartile of times, as they come: what something takes while nothing else has the processor. It moves by
/// a share of itself towards each value, a large one at first, since the first value may be anything.
/// </summary>
internal sealed class UsualTime
{
    private const double Share = 0.25, FirstStep = 0.3, Step = 0.05;

    /// <summary>Values that move it by the first step.</summary>
    private const int First = 32;

    private int _values;

    /// <summary>Seconds; 0 until there is a value.</summary>
    public double Value { get; private set; }

    public void Add(double value)
    {
        var step = _values++ < First ? FirstStep : Step;
        if (Value == 0)
            Value = value;
        else if (value > Value)
            Value *= 1 + (step * Share);
        else if (value < Value)
            Value *= 1 - (step * (1 - Share));
    }
}
