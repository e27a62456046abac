using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds;

namespace Moebius.Charts.Tests;

/// <summary>Objects that a chart or a kustomize base renders to.</summary>
internal sealed class Rendered(IReadOnlyList<JsonObject> objects)
{
    private static readonly Dictionary<string, Type> BuiltIn = typeof(V1Deployment).Assembly.GetTypes()
        .Select(type => (Type: type, Entity: (KubernetesEntityAttribute?)Attribute.GetCustomAttribute(type, typeof(KubernetesEntityAttribute))))
        .Where(one => one.Entity is not null && !one.Type.Name.EndsWith("List", StringComparison.Ordinal))
        .ToDictionary(one => Key(one.Entity!.Group.Length == 0 ? one.Entity.ApiVersion : $"{one.Entity.Group}/{one.Entity.ApiVersion}", one.Entity.Kind), one => one.Type);

    public IReadOnlyList<JsonObject> Objects { get; } = objects;

    public static Rendered Parse(string yaml) => new(Manifests.ParseDocuments(yaml, "rendered"));

    /// <summary><c>helm template</c> of the operator's chart, as release moebius in moebius-system.</summary>
    public static async Task<Rendered> ChartAsync(params string[] arguments) =>
        Parse((await Tool.HelmAsync(["template", "moebius", RepositoryFiles.At("charts/moebius"), "-n", "moebius-system", .. arguments])).EnsureSuccess().StandardOutput);

    /// <summary>The one object of a type that has this name, or the only one.</summary>
    public T One<T>(string? name = null)
        where T : IKubernetesObject<V1ObjectMeta> =>
        Assert.Single(All<T>(), one => name is null || one.Metadata.Name == name);

    public IEnumerable<T> All<T>()
        where T : IKubernetesObject<V1ObjectMeta> =>
        Objects.Where(one => BuiltIn.GetValueOrDefault(Key(one)) == typeof(T)).Select(one => Manifests.Convert<T>(one, Name(one)));

    /// <summary>Objects of a kind, whatever it is.</summary>
    public IEnumerable<JsonObject> OfKind(string kind) => Objects.Where(one => (string?)one["kind"] == kind);

    /// <summary>Reads every object as its type; an unknown field is an error. Kinds that the client has no type for are returned.</summary>
    public IReadOnlyList<string> UnknownKinds()
    {
        var unknown = new List<string>();
        foreach (var one in Objects)
        {
            if (BuiltIn.TryGetValue(Key(one), out var type))
                Manifests.Convert(one, type, Name(one));
            else
                unknown.Add((string)one["kind"]!);
        }

        return unknown;
    }

    public static string Name(JsonObject one) => $"{one["kind"]}/{one["metadata"]?["namespace"]}/{one["metadata"]?["name"]}";

    private static string Key(JsonObject one) => Key((string?)one["apiVersion"] ?? "", (string?)one["kind"] ?? "");

    private static string Key(string apiVersion, string kind) => $"{apiVersion} {kind}";
}
