using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.Config;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Puts a user's partial pod template over the planned one. What other fields of the spec say, and what the pods could not
/// work or be told apart without, is refused.
/// </summary>
internal static class PodTemplateOverride
{
    private const string Path = "spec.podTemplate";

    private static readonly HashSet<string> OwnContainers = [InferencePod.InferenceContainer, InferencePod.KVCacheContainer, ModelSizeCheck.ContainerName, ModelFetch.ContainerName, ModelVolume.CopyContainer, ClassifierVolume.CopyContainer];

    private static readonly HashSet<string> OwnVolumes = ["config", "policy", "model", "run", "arena", "kv-disk", "kv-key", ClassifierVolume.Name];

    /// <summary>Fields of Moebius' own containers, and what is used instead.</summary>
    private static readonly Dictionary<string, string> ContainerFields = new()
    {
        ["command"] = "Moebius sets it",
        ["args"] = "Moebius sets them; use the fields of spec",
        ["image"] = "use spec.image",
        ["imagePullPolicy"] = "use spec.imagePullPolicy",
        ["resources"] = "use spec.resources and spec.kvCache.resources",
        ["ports"] = "use spec.serving.port",
        ["restartPolicy"] = "Moebius sets it",
        ["startupProbe"] = "Moebius sets it",
        ["livenessProbe"] = "Moebius sets it",
        ["readinessProbe"] = "Moebius sets it",
        ["lifecycle"] = "use spec.serving.drainTimeout",
    };

    private static readonly Dictionary<string, string> PodFields = new()
    {
        ["serviceAccountName"] = "Moebius sets it",
        ["serviceAccount"] = "Moebius sets it",
        ["restartPolicy"] = "pods of a Deployment always restart",
        ["nodeSelector"] = "use spec.placement.nodeSelector",
        ["tolerations"] = "use spec.placement.tolerations",
        ["priorityClassName"] = "use spec.placement.priorityClassName",
        ["topologySpreadConstraints"] = "use spec.placement.topologySpreadConstraints",
        ["imagePullSecrets"] = "use spec.imagePullSecrets",
        ["terminationGracePeriodSeconds"] = "use spec.serving.drainTimeout",
        ["ephemeralContainers"] = "a template cannot have them",
    };

    private static readonly HashSet<string> Environment = ["DOTNET_EnableDiagnostics", ContainerVariables.TenantSignatureKey, ContainerVariables.SharedPassword, ContainerVariables.ContextCheckKey, ContainerVariables.MemoryLimit];

    /// <summary>What is wrong with a patch in this spec.</summary>
    public static IEnumerable<string> Errors(JsonObject patch, MoEDeploymentSpec spec)
    {
        var errors = Directives(patch, Path).Concat(Protected(patch)).Concat(PodTemplatePorts.Errors(patch, Path, spec)).ToList();
        if (errors.Count == 0 && Type(StrategicMerge.Merge([], patch)) is { } error)
            errors.Add(error);
        return errors;
    }

    /// <summary>Whether Moebius makes a container of this name.</summary>
    public static bool IsOwnContainer(string name) => OwnContainers.Contains(name);

    /// <summary>The planned template with the patch over it; the patch must have no errors.</summary>
    public static V1PodTemplateSpec Apply(V1PodTemplateSpec planned, JsonObject? patch) => patch is not { Count: > 0 }
        ? planned
        : StrategicMerge.Merge((JsonObject)JsonSerializer.SerializeToNode(planned, Manifests.Json)!, patch).Deserialize<V1PodTemplateSpec>(Manifests.Json)!;

    private static string? Type(JsonObject merged)
    {
        try
        {
            merged.Deserialize<V1PodTemplateSpec>(Manifests.Json);
            return null;
        }
        catch (Exception error) when (error is JsonException or FormatException or InvalidOperationException or ArgumentException)
        {
            var where = (error as JsonException)?.Path is { Length: > 1 } path ? Path + path[1..] : Path;
            return error.Message.Contains("could not be mapped", StringComparison.Ordinal)
                ? $"{where}: a pod template has no such field: remove it"
                : $"{where}: {Shown(merged, where)} is not of the type that a pod template has there";
        }
    }

    private static string Shown(JsonObject merged, string where)
    {
        JsonNode? node = merged;
        foreach (var part in where[Path.Length..].Split('.', '[', ']').Where(part => part.Length > 0))
            node = node is JsonArray items && int.TryParse(part, CultureInfo.InvariantCulture, out var index) ? items.ElementAtOrDefault(index) : (node as JsonObject)?[part];
        return node is JsonValue value ? $"'{value}'" : "the value";
    }

    private static IEnumerable<string> Directives(JsonNode? node, string path) => node switch
    {
        JsonObject fields => fields.SelectMany(field => field.Key switch
        {
            "$patch" => field.Value is JsonValue value && value.TryGetValue<string>(out var text) && text is "delete" or "replace" && path != Path
                ? []
                : [$"{path}.$patch: must be delete or replace, and stand in an item or object inside the template"],
            ['$', ..] => [$"{path}.{field.Key}: not a directive that is understood: use $patch: delete or $patch: replace"],
            _ => Directives(field.Value, $"{path}.{field.Key}"),
        }),
        JsonArray items => items.SelectMany((item, index) => item is null ? [$"{path}[{index}]: must not be null"] : Directives(item, $"{path}[{index}]")),
        _ => [],
    };

    private static IEnumerable<string> Protected(JsonObject patch)
    {
        foreach (var name in patch.Select(field => field.Key).Where(name => name is not ("metadata" or "spec")))
            yield return $"{Path}.{name}: a pod template has metadata and spec only";
        if (patch.ContainsKey("metadata") && patch["metadata"] is not JsonObject)
            yield return $"{Path}.metadata: must be an object with labels or annotations";
        foreach (var error in Metadata(patch["metadata"]))
            yield return error;
        switch (patch["spec"])
        {
            case JsonObject spec:
                foreach (var error in Spec(spec))
                    yield return error;
                break;
            case null when patch.ContainsKey("spec"):
                yield return $"{Path}.spec: must not be removed";
                break;
            case not null:
                yield return $"{Path}.spec: must be an object";
                break;
        }
    }

    private static IEnumerable<string> Metadata(JsonNode? node)
    {
        if (node is not JsonObject metadata)
            yield break;
        if (metadata.ContainsKey("$patch"))
            yield return $"{Path}.metadata.$patch: labels and annotations can be added, not replaced";
        foreach (var name in metadata.Select(field => field.Key).Where(name => name is not ("labels" or "annotations" or "$patch")))
            yield return $"{Path}.metadata.{name}: only labels and annotations can be added";
        foreach (var field in new[] { "labels", "annotations" })
        {
            if (metadata.ContainsKey(field) && metadata[field] is not JsonObject)
                yield return $"{Path}.metadata.{field}: must be a map of texts";
            if (metadata[field] is JsonObject { } map && map.ContainsKey("$patch"))
                yield return $"{Path}.metadata.{field}.$patch: {field} can be added, not replaced";
            foreach (var key in (metadata[field] as JsonObject ?? []).Select(one => one.Key).Where(key => key.StartsWith("app.kubernetes.io/", StringComparison.Ordinal) || key.StartsWith("moebius.dev/", StringComparison.Ordinal)))
            {
                // The node agent reads this one, and only a user knows it.
                if (key != PodAnnotations.MemoryIntent)
                    yield return $"{Path}.metadata.{field}[{key}]: belongs to Moebius: choose another name";
            }
        }
    }

    private static IEnumerable<string> Spec(JsonObject spec)
    {
        if (spec.ContainsKey("$patch"))
            yield return $"{Path}.spec.$patch: the pod cannot be replaced as a whole";
        foreach (var (name, remedy) in PodFields.Where(field => spec.ContainsKey(field.Key)))
            yield return $"{Path}.spec.{name}: cannot be overridden: {remedy}";
        foreach (var list in new[] { "containers", "initContainers", "volumes" })
        {
            if (!spec.ContainsKey(list))
                continue;
            if (spec[list] is not JsonArray items || items.Any(item => item is not JsonObject one || one["name"] is not JsonValue name || !name.TryGetValue<string>(out _)))
            {
                yield return $"{Path}.spec.{list}: must be a list of objects with a name";
                continue;
            }

            foreach (var error in items.OfType<JsonObject>().SelectMany(item => list == "volumes" ? Volume(item) : Container(list, item)))
                yield return error;
        }
    }

    private static IEnumerable<string> Volume(JsonObject volume)
    {
        var name = (string)volume["name"]!;
        if (OwnVolumes.Contains(name))
            yield return $"{Path}.spec.volumes[{name}]: belongs to Moebius: choose another name";
    }

    private static IEnumerable<string> Container(string list, JsonObject container)
    {
        var name = (string)container["name"]!;
        if (!OwnContainers.Contains(name))
            yield break;
        var path = $"{Path}.spec.{list}[{name}]";
        if (container.ContainsKey("$patch"))
            yield return $"{path}.$patch: the container belongs to Moebius and cannot be removed or replaced";
        foreach (var (field, remedy) in ContainerFields.Where(field => container.ContainsKey(field.Key)))
            yield return $"{path}.{field}: cannot be overridden: {remedy}";
        foreach (var (field, key) in new[] { ("env", "name"), ("volumeMounts", "mountPath") })
        {
            // An item without its key, or no list at all, is a way to drop the whole list.
            if (container.ContainsKey(field) && (container[field] is not JsonArray items || Names(items, key).Count() != items.Count))
                yield return $"{path}.{field}: must be a list of objects with a {key}: what Moebius sets stays";
        }

        foreach (var variable in Names(container["env"], "name").Where(Environment.Contains))
            yield return $"{path}.env[{variable}]: belongs to Moebius";
        foreach (var mount in Names(container["volumeMounts"], "mountPath").Where(IsOwnPath))
            yield return $"{path}.volumeMounts[{mount}]: the path belongs to Moebius: choose another one";
    }

    private static IEnumerable<string> Names(JsonNode? list, string key) =>
        (list as JsonArray ?? []).OfType<JsonObject>().Select(item => item[key] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null).OfType<string>();

    // As the kernel will read it, whatever dots and slashes it is written with.
    private static bool IsOwnPath(string path) => new[] { PodPaths.Config, PodPaths.Policy, PodPaths.Model, PodPaths.Run, PodPaths.KVDisk, PodPaths.KVKey, PodPaths.Classifier }
        .Any(own => System.IO.Path.GetFullPath("/" + path.Replace("\0", "", StringComparison.Ordinal)).TrimEnd('/') is var plain && (plain == own || plain.StartsWith(own + "/", StringComparison.Ordinal) || own.StartsWith(plain + "/", StringComparison.Ordinal)));
}
