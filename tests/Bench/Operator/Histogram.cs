using System.Globalization;
using System.Text.RegularExpressions;

namespace Moebius.Bench.Operator;

/// <summary>Quantiles of a Prometheus histogram in its text form.</summary>
internal static partial class Histogram
{
    /// <summary>The quantile, by linear interpolation within its bucket.</summary>
    /// <param name="metrics">The text of <c>/metrics</c>.</param>
    /// <param name="name">The histogram.</param>
    /// <param name="controller">Value of its label.</param>
    /// <param name="share">From 0 to 1.</param>
    /// <param name="since">The text of before, whose values do not count; null: all count.</param>
    public static double Quantile(string metrics, string name, string controller, double share, string? since = null)
    {
        var buckets = Buckets(metrics, name, controller);
        if (since is not null)
            buckets = [.. buckets.Zip(Buckets(since, name, controller), (now, before) => (now.Bound, now.Count - before.Count))];
        if (buckets.Count == 0 || buckets[^1].Count == 0)
            throw new InvalidOperationException($"{name} of {controller} has no values");
        var wanted = share * buckets[^1].Count;
        var (lower, below) = (0.0, 0.0);
        foreach (var (bound, count) in buckets)
        {
            if (count >= wanted)
                return double.IsPositiveInfinity(bound) ? bound : lower + ((bound - lower) * (wanted - below) / (count - below));
            (lower, below) = (bound, count);
        }

        return double.PositiveInfinity;
    }

    private static List<(double Bound, double Count)> Buckets(string metrics, string name, string controller) =>
    [
        .. Bucket().Matches(metrics)
                .Where(match => match.Groups[1].Value == name && match.Groups[2].Value.Contains($"controller=\"{controller}\"", StringComparison.Ordinal))
                .Select(match => (Bound: Limit().Match(match.Groups[2].Value).Groups[1].Value, Count: double.Parse(match.Groups[3].Value, CultureInfo.InvariantCulture)))
                .Select(bucket => (Bound: bucket.Bound == "+Inf" ? double.PositiveInfinity : double.Parse(bucket.Bound, CultureInfo.InvariantCulture), bucket.Count))
                .OrderBy(bucket => bucket.Bound),
    ];

    [GeneratedRegex(@"^(\w+)_bucket\{([^}]*)\} (\S+)$", RegexOptions.Multiline)]
    private static partial Regex Bucket();

    [GeneratedRegex("le=\"([^\"]+)\"")]
    private static partial Regex Limit();
}
