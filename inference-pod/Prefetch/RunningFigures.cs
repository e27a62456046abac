namespace Moebius.Inference.Prefetch;

/// <summary>A mean over the last values or so, right from the first one on.</summary>
/// <param name="weight">Of a new value: 1 / n stands for the last n or so.</param>
internal sealed class DecayingMean(double weight)
{
    private double _sum, _squares, _total, _weights;

    public bool IsEmpty => _total == 0;

    public double Value => _total == 0 ? 0 : _sum / _total;

    /// <summary>Variance of <see cref="Value"/>, as if the values did not depend on each other; 0 where nothing is known.</summary>
    public double Variance => _total == 0 ? 0 : Math.Max(0, (_squares / _total) - (Value * Value)) * _weights / (_total * _total);

    public void Add(double value)
    {
        _sum += weight * (value - _sum);
        _squares += weight * ((value * value) - _squares);
        _total += weight * (1 - _total);
        _weights = (_weights * (1 - weight) * (1 - weight)) + (weight * weight);
    }

    public void Clear() => (_sum, _squares, _total, _weights) = (0, 0, 0, 0);
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
        double step = _values++ < First ? FirstStep : Step;
        if (Value == 0)
            Value = value;
        else if (value > Value)
            Value *= 1 + (step * Share);
        else if (value < Value)
            Value *= 1 - (step * (1 - Share));
    }

    public void Clear() => (Value, _values) = (0, 0);
}
