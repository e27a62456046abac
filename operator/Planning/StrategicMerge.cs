using System.Text.Json.Nodes;

namespace Moebius.Operator.Planning;

/// <summary>
/// Strategic merge of pod templates: objects are merged, lists of objects are merged by the key that Kubernetes merges
/// them by, null removes a field, <c>$patch: delete</c> removes an item or object and <c>$patch: replace</c> replaces one.
/// Every other list is replaced.
/// </summary>
internal static class StrategicMerge
{
    private const string Directive = "$patch";

    /// <summary>Lists of a pod template that are merged, and by which field.</summary>
    private static readonly Dictionary<string, string> MergeKeys = new()
    {
        ["containers"] = "name",
        ["initContainers"] = "name",
        ["volumes"] = "name",
        ["env"] = "name",
        ["volumeMounts"] = "mountPath",
        ["volumeDevices"] = "devicePath",
        ["ports"] = "containerPort",
        ["imagePullSecrets"] = "name",
        ["hostAliases"] = "ip",
        ["topologySpreadConstraints"] = "topologyKey",
        ["resourceClaims"] = "name",
    };

    /// <summary>The field by which a list is merged; null for one that is replaced.</summary>
    public static string? KeyOf(string list) => MergeKeys.GetValueOrDefault(list);

    /// <summary>A copy of an object with a patch over it.</summary>
    public static JsonObject Merge(JsonObject target, JsonObject patch)
    {
        if ((string?)patch[Directive] == "replace")
            return WithoutDirective(patch);
        var result = (JsonObject)target.DeepClone();
        foreach (var (name, value) in patch.Where(field => field.Key != Directive))
        {
            switch (value)
            {
                case null:
                case JsonObject inner when (string?)inner[Directive] == "delete":
                    result.Remove(name);
                    break;
                case JsonObject inner:
                    result[name] = Merge(result[name] as JsonObject ?? [], inner);
                    break;
                case JsonArray items when KeyOf(name) is { } key && items.All(item => item is JsonObject):
                    result[name] = MergeList(result[name] as JsonArray ?? [], items, key);
                    break;
                default:
                    result[name] = value.DeepClone();
                    break;
            }
        }

        return result;
    }

    private static JsonArray MergeList(JsonArray target, JsonArray patch, string key)
    {
        static bool ReplacesAll(JsonObject item) => item.Count == 1 && (string?)item[Directive] == "replace";
        if (patch.OfType<JsonObject>().Any(ReplacesAll))
            return [.. patch.OfType<JsonObject>().Where(item => !ReplacesAll(item)).Select(item => (JsonNode)WithoutDirective(item))];
        var result = target.Select(item => item?.DeepClone()).ToList();
        foreach (var item in patch.OfType<JsonObject>())
        {
            var at = result.FindIndex(other => other is JsonObject one && one[key] is { } value && JsonNode.DeepEquals(value, item[key]));
            var delete = (string?)item[Directive] == "delete";
            if (at < 0 && !delete)
                result.Add(Merge([], item));
            else if (delete && at >= 0)
                result.RemoveAt(at);
            else if (at >= 0)
                result[at] = Merge((JsonObject)result[at]!, item);
        }

        return [.. result];
    }

    private static JsonObject WithoutDirective(JsonObject patch)
    {
        var result = (JsonObject)patch.DeepClone();
        result.Remove(Directive);
        return result;
    }
}
