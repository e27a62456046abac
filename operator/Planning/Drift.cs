using System.Text.Json.Nodes;
using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>
/// Whether an object still has what was planned for it. Only planned fields are compared: defaults of the server and
/// fields of others are nobody's drift.
/// </summary>
internal static class Drift
{
    /// <summary>Keys by which Kubernetes merges lists, the first that all items have.</summary>
    private static readonly string[] MergeKeys = ["mountPath", "containerPort", "name", "uid", "key", "type", "topologyKey"];

    /// <summary>Whether a difference counts for nothing: its path, what was planned there, and what is there.</summary>
    public delegate bool Excuse(string path, JsonNode planned, JsonNode? live);

    /// <summary>The path of the first planned value that the live object lacks; null when it has them all.</summary>
    public static string? Find(JsonObject planned, JsonObject live, Excuse? excuse = null) => Compare(planned, live, "", quantity: false, excuse);

    /// <summary>Whether a value is one that the server may leave out: whether it does depends on the field.</summary>
    public static bool SaysNothing(JsonNode value) => value.ToJsonString() is "false" or "0" or "\"\"";

    private static string? Compare(JsonNode? planned, JsonNode? live, string path, bool quantity, Excuse? excuse)
    {
        switch (planned)
        {
            case null:
                return null;
            case JsonObject fields:
                if (live is not JsonObject found)
                    return IsEmpty(fields) && live is null ? null : Different();
                foreach (var (key, value) in fields)
                {
                    if (Compare(value, found[key], path.Length == 0 ? key : $"{path}.{key}", quantity || key is "requests" or "limits" or "sizeLimit", excuse) is { } difference)
                        return difference;
                }

                return null;
            case JsonArray items:
                if (live is not JsonArray others)
                    return items.Count == 0 && live is null ? null : Different();
                return CompareList(items, others, path, quantity, excuse);
            default:
                return live is JsonValue && (JsonNode.DeepEquals(planned, live) || (quantity && SameQuantity(planned, live))) ? null : Different();
        }

        string? Different() => excuse?.Invoke(path, planned, live) == true ? null : path;
    }

    private static string? CompareList(JsonArray planned, JsonArray live, string path, bool quantity, Excuse? excuse)
    {
        if (planned.Count > 0 && planned.All(item => item is JsonObject) && MergeKeys.FirstOrDefault(key => planned.All(item => item![key] is JsonValue) && planned.Select(item => item![key]!.ToJsonString()).Distinct().Count() == planned.Count) is { } merge)
        {
            foreach (var item in planned)
            {
                var name = item![merge]!;
                var match = live.OfType<JsonObject>().FirstOrDefault(other => JsonNode.DeepEquals(other[merge], name))
                    ?? (SaysNothing(name) ? live.OfType<JsonObject>().FirstOrDefault(other => other[merge] is null) : null);
                var here = $"{path}[{name}]";
                if (match is null && excuse?.Invoke(here, item, null) == true)
                    continue;
                if (match is null)
                    return here;
                if (Compare(item, match, here, quantity, excuse) is { } difference)
                    return difference;
            }

            return null;
        }

        if (planned.Count != live.Count)
            return excuse?.Invoke(path, planned, live) == true ? null : path;
        for (var index = 0; index < planned.Count; index++)
        {
            if (Compare(planned[index], live[index], $"{path}[{index}]", quantity, excuse) is { } difference)
                return difference;
        }

        return null;
    }

    // The server drops objects that say nothing, such as an emptyDir without settings inside a larger default.
    private static bool IsEmpty(JsonObject fields) => fields.All(field => field.Value is null || (field.Value is JsonObject inner && IsEmpty(inner)));

    private static bool SameQuantity(JsonNode left, JsonNode right)
    {
        try
        {
            return new ResourceQuantity(left.ToString()).ToDecimal() == new ResourceQuantity(right.ToString()).ToDecimal();
        }
        catch (FormatException)
        {
            return false;
        }
    }
}
