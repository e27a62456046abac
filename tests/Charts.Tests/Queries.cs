using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Moebius.Charts.Tests;

/// <summary>A PromQL expression that the chart ships, and where it is.</summary>
internal sealed record Query(string Place, string Expression)
{
    public static IEnumerable<Query> OfRules() =>
        Groups().SelectMany(group => group["rules"]!.AsArray()).Select(rule => new Query($"rules/moebius.yaml {rule!["alert"] ?? rule["record"]}", (string)rule["expr"]!));

    public static IEnumerable<string> Recorded() =>
        Groups().SelectMany(group => group["rules"]!.AsArray()).Select(rule => (string?)rule!["record"]).OfType<string>();

    public static IEnumerable<string> DashboardFiles() => Directory.GetFiles(RepositoryFiles.At("charts/moebius/dashboards"), "*.json").Order(StringComparer.Ordinal);

    public static JsonObject Dashboard(string file) => JsonNode.Parse(File.ReadAllText(file))!.AsObject();

    public static IEnumerable<Query> OfDashboards() =>
        from file in DashboardFiles()
        from panel in Dashboard(file)["panels"]!.AsArray()
        from target in panel!["targets"]?.AsArray() ?? []
        select new Query($"{Path.GetFileName(file)} '{panel["title"]}'", (string)target!["expr"]!);

    /// <summary>Metrics that dashboards take the values of their variables from.</summary>
    public static IEnumerable<Query> OfVariables() =>
        from file in DashboardFiles()
        from variable in Dashboard(file)["templating"]!["list"]!.AsArray()
        where (string?)variable!["type"] == "query"
        let parts = Regex.Match((string)variable["definition"]!, @"^label_values\((.*), (\w+)\)$")
        select new Query($"{Path.GetFileName(file)} ${variable["name"]}", $"count by ({parts.Groups[2].Value}) ({parts.Groups[1].Value})");

    private static IEnumerable<JsonNode> Groups() =>
        Rendered.Parse(File.ReadAllText(RepositoryFiles.At("charts/moebius/rules/moebius.yaml"))).Objects[0]["groups"]!.AsArray().OfType<JsonNode>();
}
