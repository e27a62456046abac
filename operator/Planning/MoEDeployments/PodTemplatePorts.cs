using System.Globalization;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Ports of containers that a user adds to the pod, whose network they share: on a port of ours one of the two cannot listen,
/// and what looks for a port of ours by its name (a PodMonitor, a Service that somebody adds) would find theirs, too: unique
/// within a container is enough for Kubernetes, but not for these.
/// </summary>
internal static class PodTemplatePorts
{
    private static readonly string[] Lists = ["containers", "initContainers"];

    /// <summary>Ports of a patch that Moebius' own containers have.</summary>
    public static IEnumerable<string> Errors(JsonObject patch, string path, MoEDeploymentSpec spec)
    {
        List<(string Name, int Number, string Use)> own =
        [
            (InferencePod.ServingPort, spec.Serving.Port, "API (spec.serving.port)"),
            (InferencePod.MetricsPort, PodPaths.InferenceMetricsPort, "engine's metrics"),
        ];
        if (spec.KVCache.Enabled)
            own.Add((KVCacheSidecar.MetricsPort, PodPaths.KVCacheMetricsPort, "cache's metrics"));
        foreach (var (container, port) in Lists.SelectMany(list => Ports(patch, path, list)))
        {
            // Without a protocol it is TCP.
            if (Text(port["protocol"]) is null or "TCP" && Number(port["containerPort"]) is { } number && own.Find(one => one.Number == number) is { Use: { } use })
                yield return $"{container}.ports[{number.ToString(CultureInfo.InvariantCulture)}]: is the port of the {use}: choose another one";
            else if (Text(port["name"]) is { } name && own.Exists(one => one.Name == name))
                yield return $"{container}.ports[{name}]: by this name the port of the {own.Find(one => one.Name == name).Use} is found, in whichever container of the pod: rename it, also where the container's probes name it";
        }
    }

    // What is not of the right type is told elsewhere, as are ports of our own containers.
    private static IEnumerable<(string Container, JsonObject Port)> Ports(JsonObject patch, string path, string list) =>
        from container in (((patch["spec"] as JsonObject)?[list] as JsonArray) ?? []).OfType<JsonObject>()
        let name = Text(container["name"])
        where name is not null && !PodTemplateOverride.IsOwnContainer(name) && Text(container["$patch"]) != "delete"
        from port in (container["ports"] as JsonArray ?? []).OfType<JsonObject>()
        select ($"{path}.spec.{list}[{name}]", port);

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static int? Number(JsonNode? node) => node is JsonValue value && value.TryGetValue<int>(out var number) ? number : null;
}
