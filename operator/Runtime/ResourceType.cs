using System.Collections.Concurrent;
using System.Reflection;
using k8s;
using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Operator.Runtime;

/// <summary>Where the objects of a type are in the API.</summary>
/// <param name="Group">Group; empty for the core.</param>
/// <param name="Version">Version.</param>
/// <param name="Kind">Kind.</param>
/// <param name="Plural">Plural name, as in URLs.</param>
/// <param name="Namespaced">Whether objects belong to a namespace.</param>
internal sealed record ResourceType(string Group, string Version, string Kind, string Plural, bool Namespaced)
{
    private static readonly ConcurrentDictionary<Type, ResourceType> Known = new();

    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    public static ResourceType Of<T>() => Of(typeof(T));

    /// <summary>Reads the attributes that entity types carry.</summary>
    public static ResourceType Of(Type type) => Known.GetOrAdd(type, static type =>
    {
        var entity = type.GetCustomAttribute<KubernetesEntityAttribute>() ?? throw new InvalidOperationException($"{type.Name} has no KubernetesEntity attribute");
        var clusterScoped = type.GetCustomAttribute<ResourceAttribute>()?.ClusterScoped == true;
        return new ResourceType(entity.Group, entity.ApiVersion, entity.Kind, entity.PluralName, !clusterScoped);
    });

    /// <summary>Path of the collection, of one namespace or of all.</summary>
    public string Collection(string? @namespace)
    {
        var root = Group.Length == 0 ? $"api/{Version}" : $"apis/{Group}/{Version}";
        return Namespaced && @namespace is not null ? $"{root}/namespaces/{Uri.EscapeDataString(@namespace)}/{Plural}" : $"{root}/{Plural}";
    }

    /// <summary>Path of one object.</summary>
    public string Item(ObjectKey key) => $"{Collection(key.Namespace)}/{Uri.EscapeDataString(key.Name)}";
}

/// <summary>Namespace and name of an object.</summary>
/// <param name="Namespace">Null for objects without one.</param>
/// <param name="Name">The name.</param>
internal readonly record struct ObjectKey(string? Namespace, string Name)
{
    public static ObjectKey Of(IKubernetesObject<V1ObjectMeta> resource) => new(resource.Metadata.NamespaceProperty, resource.Metadata.Name);

    public override string ToString() => Namespace is null ? Name : $"{Namespace}/{Name}";
}
