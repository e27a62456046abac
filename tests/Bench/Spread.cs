using System.Globalization;

namespace Moebius.Bench;

/// <summary>Median and quartiles of repeated measurements.</summary>
internal readonly record struct Spread(double Median, double Lower, double Upper)
{
    public static Spread Of(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return new Spread(Quantile(sorted, 0.5), Quantile(sorted, 0.25), Quantile(sorted, 0.75));
    }

    /// <summary>The quantile of sorted values, with linear interpolation between neighbours.</summary>
    public static double Quantile(double[] sorted, double share)
    {
        if (sorted.Length == 0)
            throw new ArgumentException("nothing was measured", nameof(sorted));
        var position = share * (sorted.Length - 1);
        var below = (int)position;
        var above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((position - below) * (sorted[above] - sorted[below]));
    }

    public string Text(string format, string unit = "") => string.Create(
        CultureInfo.InvariantCulture,
        $"{Median.ToString(format, CultureInfo.InvariantCulture)}{unit} [{Lower.ToString(format, CultureInfo.InvariantCulture)}, {Upper.ToString(format, CultureInfo.InvariantCulture)}]");
}
