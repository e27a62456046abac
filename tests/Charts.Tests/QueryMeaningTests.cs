using System.Text.RegularExpressions;

namespace Moebius.Charts.Tests;

/// <summary>Queries that Prometheus takes and that would still show something wrong.</summary>
public sealed partial class QueryMeaningTests
{
    /// <summary>The unit of a panel by what a metric's name ends in; rates are by second.</summary>
    private static readonly (string Ending, string OfValue, string? OfRate)[] Units =
    [
        ("_bytes_total", "bytes", "Bps"),
        ("_bytes_per_second", "Bps", null),
        ("_bytes", "bytes", null),
        ("_seconds_bucket", "s", "s"),
        ("_seconds", "s", null),
        ("_percent_bucket", "percent", "percent"),
    ];

    [Fact]
    public void Only_what_counts_up_has_a_rate()
    {
        var rated = All().SelectMany(query => Rated().Matches(query.Expression).Select(match => (query.Place, Metric: match.Groups[1].Value))).ToList();

        Assert.True(rated.Count > 80, $"only {rated.Count} rates were found");
        Assert.All(rated, one => Assert.True(CountsUp().IsMatch(one.Metric), $"{one.Place}: {one.Metric} is a gauge: its rate means nothing"));
    }

    [Fact]
    public void What_counts_up_is_shown_as_a_rate() =>
        Assert.All(All(), query => Assert.All(Metric().Matches(query.Expression).Select(match => match.Value).Where(metric => CountsUp().IsMatch(metric)), metric =>
            Assert.True(Regex.IsMatch(query.Expression, $@"\b(rate|increase)\({Regex.Escape(metric)}\b"), $"{query.Place}: {metric} only ever grows")));

    [Fact]
    public void Quantiles_are_taken_of_buckets_that_keep_their_bounds()
    {
        var quantiles = All().Where(query => query.Expression.Contains("histogram_quantile", StringComparison.Ordinal) || query.Expression.Contains("_bucket", StringComparison.Ordinal)).ToList();

        Assert.True(quantiles.Count > 20, $"only {quantiles.Count} quantiles were found");
        Assert.All(quantiles, query => Assert.True(Quantile().IsMatch(query.Expression), $"{query.Place}: {query.Expression}"));
    }

    [Fact]
    public void Panels_have_the_unit_of_what_they_show()
    {
        var seen = 0;
        foreach (var (place, expression, unit) in Panels())
        {
            // A share of two like things has no unit of its own.
            if (expression.Contains("\n/\n", StringComparison.Ordinal) || expression.Contains(" / ", StringComparison.Ordinal))
            {
                Assert.True(unit is "percentunit", $"{place}: shows a share in '{unit}'");
                continue;
            }

            var metric = Metric().Match(expression).Value;
            var rated = Rated().IsMatch(expression);
            var wanted = Units.FirstOrDefault(one => metric.EndsWith(one.Ending, StringComparison.Ordinal)) is { Ending: not null } rule ? (rated ? rule.OfRate : rule.OfValue) : null;
            if (wanted is null)
                continue;
            seen++;
            Assert.True(unit == wanted, $"{place}: {expression} is in '{wanted}', and the panel says '{unit}'");
        }

        Assert.True(seen > 30, $"only {seen} panels were held against their metric");
    }

    private static List<Query> All() => [.. Query.OfRules().Concat(Query.OfDashboards())];

    private static IEnumerable<(string Place, string Expression, string? Unit)> Panels() =>
        from file in Query.DashboardFiles()
        from panel in Query.Dashboard(file)["panels"]!.AsArray()
        from target in panel!["targets"]?.AsArray() ?? []
        select ($"{Path.GetFileName(file)} '{panel["title"]}'", (string)target!["expr"]!, (string?)panel["fieldConfig"]?["defaults"]?["unit"]);

    [GeneratedRegex(@"\b(?:rate|irate|increase)\(([a-z][a-z0-9_:]*)")]
    private static partial Regex Rated();

    [GeneratedRegex("_(total|sum|count|bucket)$")]
    private static partial Regex CountsUp();

    [GeneratedRegex(@"\b(?:vllm:|moebius_|workqueue_)[a-z0-9_]+")]
    private static partial Regex Metric();

    [GeneratedRegex(@"^histogram_quantile\(0\.\d+, sum by \((?:[a-z_]+, )*le\) \(rate\([a-z0-9_:]+_bucket\{[^}]*\}\[\$__rate_interval\]\)\)\)$")]
    private static partial Regex Quantile();
}
