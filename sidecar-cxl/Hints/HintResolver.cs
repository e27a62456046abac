using Moebius.Crds.Config;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Cxl.Hints;

/// <summary>What a hint needs to know of a pod.</summary>
/// <param name="Uid">The pod's UID as its cgroup is named: a static pod goes by its configuration's hash.</param>
/// <param name="Namespace">Its namespace.</param>
/// <param name="Labels">Its labels.</param>
/// <param name="Annotation">The value of <see cref="PodAnnotations.MemoryIntent"/>; null without it.</param>
internal sealed record PodInfo(string Uid, string Namespace, IReadOnlyDictionary<string, string> Labels, string? Annotation);

/// <summary>Intents by pod UID, and what could not be honoured.</summary>
/// <param name="Intents">Intent by pod UID.</param>
/// <param name="Refused">Pods whose annotation is not an intent.</param>
/// <param name="Contested">UIDs that more than one pod claims.</param>
/// <param name="Forbidden">Pods whose annotation is an intent that annotations may not claim.</param>
internal sealed record PodIntents(IReadOnlyDictionary<string, MemoryIntent> Intents, int Refused, int Contested = 0, int Forbidden = 0);

/// <summary>Decides every pod's intent: its annotation, else the first workload of the profile that selects it. Pure.</summary>
internal static class HintResolver
{
    /// <summary>The extended attribute on cgroups, for what is no pod.</summary>
    public const string Attribute = "user.moebius.memory-intent";

    /// <summary>
    /// Resolves all pods. <paramref name="namespaces"/> gives the labels of namespaces, <paramref name="allowed"/> the intents
    /// that an annotation may claim; null for all.
    /// </summary>
    public static PodIntents Resolve(IEnumerable<PodInfo> pods, IReadOnlyList<WorkloadHint> workloads, IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> namespaces, IReadOnlyCollection<MemoryIntent>? allowed = null)
    {
        var intents = new Dictionary<string, MemoryIntent>();
        var (refused, contested, forbidden) = (0, 0, 0);
        foreach (var claims in pods.GroupBy(pod => pod.Uid))
        {
            if (claims.Count() > 1)
            {
                contested++;
                continue;
            }

            var pod = claims.First();
            if (pod.Annotation is { } annotation)
            {
                if (ParseIntent(annotation) is not { } said)
                    refused++;
                else if (allowed?.Contains(said) == false)
                    forbidden++;
                else
                    intents[pod.Uid] = said;
            }

            if (!intents.ContainsKey(pod.Uid) && workloads.FirstOrDefault(workload => Selects(workload, pod, namespaces)) is { } workload)
                intents[pod.Uid] = workload.Intent;
        }

        return new PodIntents(intents, refused, contested, forbidden);
    }

    /// <summary>The intents of cgroups, from their paths. A container's cgroups below its own inherit it.</summary>
    public static Dictionary<ulong, MemoryIntent> ByCgroup(IReadOnlyDictionary<ulong, string> paths, IReadOnlyDictionary<string, MemoryIntent> intents)
    {
        var result = new Dictionary<ulong, MemoryIntent>();
        if (intents.Count == 0)
            return result;
        foreach (var (id, path) in paths)
        {
            if (PodCgroup.PodUid(path) is { } pod && intents.TryGetValue(pod, out var intent))
                result[id] = intent;
        }

        return result;
    }

    /// <summary>
    /// Adds the intents that cgroups themselves carry: a cgroup without another hint takes its own attribute, else that of
    /// the nearest cgroup above it. Gives the number of attributes that are no intent.
    /// </summary>
    public static int AddAttributes(Dictionary<ulong, MemoryIntent> hints, IReadOnlyDictionary<ulong, string> paths, IReadOnlyDictionary<ulong, string> attributes)
    {
        if (attributes.Count == 0)
            return 0;
        var marked = new Dictionary<string, MemoryIntent>();
        var refused = 0;
        foreach (var (id, text) in attributes)
        {
            if (ParseIntent(text) is { } intent)
                marked[paths[id]] = intent;
            else
                refused++;
        }

        foreach (var (id, path) in paths)
        {
            if (hints.ContainsKey(id))
                continue;
            for (var above = path; above is not null; above = Parent(above))
            {
                if (marked.TryGetValue(above, out var intent))
                {
                    hints[id] = intent;
                    break;
                }
            }
        }

        return refused;
    }

    /// <summary>An intent by its name, as in ReadHeavy or read-heavy; null for anything else.</summary>
    internal static MemoryIntent? ParseIntent(string text) =>
        Enum.GetValues<MemoryIntent>().Cast<MemoryIntent?>().FirstOrDefault(intent => string.Equals($"{intent}", text.Replace("-", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase));

    private static string? Parent(string path) => path == "/" ? null : path.LastIndexOf('/') is > 0 and var slash ? path[..slash] : "/";

    private static bool Selects(WorkloadHint workload, PodInfo pod, IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> namespaces) =>
        Matches(workload.PodSelector, pod.Labels)
        && (workload.NamespaceSelector is not { } selector || (namespaces.TryGetValue(pod.Namespace, out var labels) && Matches(selector, labels)));

    /// <summary>Kubernetes' label selector: everything must hold; an empty one selects all.</summary>
    private static bool Matches(V1LabelSelector selector, IReadOnlyDictionary<string, string> labels) =>
        (selector.MatchLabels ?? new Dictionary<string, string>()).All(pair => labels.TryGetValue(pair.Key, out var value) && value == pair.Value)
        && (selector.MatchExpressions ?? []).All(requirement => requirement.OperatorProperty switch
        {
            "In" => labels.TryGetValue(requirement.Key, out var value) && requirement.Values.Contains(value),
            "NotIn" => !labels.TryGetValue(requirement.Key, out var value) || !requirement.Values.Contains(value),
            "Exists" => labels.ContainsKey(requirement.Key),
            "DoesNotExist" => !labels.ContainsKey(requirement.Key),
            _ => false,
        });
}
