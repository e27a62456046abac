using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning;

namespace Moebius.Cli.Local;

/// <summary>Manifests, and what the operator's planners make of them: the same objects as in a cluster.</summary>
/// <param name="Children">Every planned object.</param>
/// <param name="Objects">Those that become processes.</param>
/// <param name="Notes">What does not take effect on a single machine, or is less than asked for.</param>
internal sealed record PlannedManifests(IReadOnlyList<object> Children, LocalObjects Objects, IReadOnlyList<string> Notes)
{
    // What the API server and the kubelet enforce in a cluster and nobody does here. Said once, not silently dropped.
    private static readonly Dictionary<string, string> NotEnforced = new()
    {
        ["NetworkPolicy"] = "network policies",
        ["PodDisruptionBudget"] = "disruption budgets",
        ["HorizontalPodAutoscaler"] = "autoscaling",
    };

    public static PlannedManifests Load(IReadOnlyList<string> files)
    {
        var resources = files.SelectMany(Read).ToList();
        var names = resources.OfType<IKubernetesObject<V1ObjectMeta>>().Select(item => $"{item.Kind}/{item.Metadata.Name}");
        if (names.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new UserInputException($"{string.Join(", ", files)}: {twice.Key} stands there twice: keep one of them");
        var planned = ManifestPlanner.Plan(resources, OperatorSettings.Default, ServerCapabilities.Latest);
        foreach (var (resource, plan) in planned)
        {
            if (plan.Problems.FirstOrDefault(problem => problem.Blocks) is { } problem)
                throw new UserInputException($"{resource.Kind}/{resource.Metadata.Name}: {problem.Message}");
        }

        // In a cluster the second would find the object taken; the same name in two namespaces is one here.
        var made = planned.SelectMany(item => item.Plan.Children.Select(child => (Name: $"{child.Kind}/{child.Metadata.Name}", For: $"for {item.Resource.Kind}/{item.Resource.Metadata.Name}")))
            .Concat(resources.OfType<V1ConfigMap>().Select(map => (Name: $"{map.Kind}/{map.Metadata.Name}", For: "as it is in the file")));
        if (made.GroupBy(item => item.Name).FirstOrDefault(group => group.Count() > 1) is { } shared)
            throw new UserInputException($"{string.Join(", ", files)}: {shared.Key} would be made {string.Join(" and ", shared.Select(item => item.For))}: rename one of them");
        var children = planned.SelectMany(item => item.Plan.Children).ToList();
        var workloads = children.Select(Workload).OfType<(string, string, V1PodTemplateSpec)>().ToList();
        if (workloads.Count == 0)
            throw new UserInputException($"{string.Join(", ", files)}: nothing to run: add a MoEDeployment, a MemorySchedulingProfile or a PromptOptimizer");
        return new PlannedManifests(
            children,
            new LocalObjects(
                workloads,
                ByName(children.OfType<V1ConfigMap>().Concat(resources.OfType<V1ConfigMap>())),
                ByName(resources.OfType<V1Secret>()),
                [.. children.OfType<V1Service>()]),
            [.. NotesOn(planned, children)]);
    }

    public string ToYaml() => string.Join("---\n", Children.Select(Manifests.ToYaml));

    private static IEnumerable<object> Read(string file)
    {
        var (text, origin) = Manifests.ReadArgument(file);
        var documents = Manifests.ParseDocuments(text, origin);
        foreach (var (index, document) in documents.Index())
        {
            var source = documents.Count == 1 ? origin : $"{origin}: document {index + 1}";
            yield return (Text(document, "apiVersion"), Text(document, "kind")) switch
            {
                ("v1", "Secret") => Manifests.Convert<V1Secret>(document, source),
                ("v1", "ConfigMap") => Manifests.Convert<V1ConfigMap>(document, source),
                _ => ManifestValidator.LoadResource(document, source),
            };
        }
    }

    private static (string, string, V1PodTemplateSpec)? Workload(IKubernetesObject<V1ObjectMeta> child) => child switch
    {
        V1Deployment deployment => (deployment.Metadata.Name, deployment.Metadata.NamespaceProperty, deployment.Spec.Template),
        V1DaemonSet daemonSet => (daemonSet.Metadata.Name, daemonSet.Metadata.NamespaceProperty, daemonSet.Spec.Template),
        _ => null,
    };

    private static IEnumerable<string> NotesOn(IReadOnlyList<PlannedResource> planned, List<IKubernetesObject<V1ObjectMeta>> children)
    {
        foreach (var (resource, plan) in planned)
        {
            foreach (var problem in plan.Problems)
                yield return $"{resource.Kind}/{resource.Metadata.Name}: {problem.Message}";
        }

        foreach (var deployment in children.OfType<V1Deployment>().Where(deployment => deployment.Spec.Replicas is { } replicas and not 1))
            yield return $"{deployment.Metadata.Name}: {deployment.Spec.Replicas} replicas are asked for; one runs here";
        var idle = children.Select(child => NotEnforced.GetValueOrDefault(child.Kind)).OfType<string>().Distinct().Order(StringComparer.Ordinal);
        yield return $"not enforced on a single machine: {string.Join(", ", idle.Append("resource limits").Append("security contexts"))}";
    }

    private static Dictionary<string, T> ByName<T>(IEnumerable<T> objects)
        where T : IKubernetesObject<V1ObjectMeta> => objects.GroupBy(item => item.Metadata.Name).ToDictionary(group => group.Key, group => group.Last());

    private static string? Text(JsonObject document, string field) =>
        document[field] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
