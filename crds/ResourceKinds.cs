using System.Reflection;
using k8s.Models;
using Moebius.Crds.Schema;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds;

/// <summary>One of the custom resources, as the API server knows it.</summary>
/// <param name="Type">The C# type.</param>
/// <param name="Kind">The kind's name.</param>
/// <param name="Plural">Plural name, as in the URL.</param>
/// <param name="Namespaced">False for a resource that belongs to the whole cluster.</param>
public sealed record ResourceKind(Type Type, string Kind, string Plural, bool Namespaced);

/// <summary>The custom resources of this API group.</summary>
public static class ResourceKinds
{
    /// <summary>All of them, in the order of the documentation.</summary>
    public static IReadOnlyList<ResourceKind> All { get; } =
    [
        Describe(typeof(MoEDeployment)),
        Describe(typeof(KVPrivacyPolicy)),
        Describe(typeof(MemorySchedulingProfile)),
        Describe(typeof(PromptOptimizer)),
        Describe(typeof(PromptOptimizationJob)),
    ];

    private static ResourceKind Describe(Type type)
    {
        var entity = type.GetCustomAttribute<KubernetesEntityAttribute>()!;
        var resource = type.GetCustomAttribute<ResourceAttribute>()!;
        return new ResourceKind(type, entity.Kind, resource.Plural, !resource.ClusterScoped);
    }
}
