using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using k8s.Models;
using Moebius.Crds;

namespace Moebius.Operator.Runtime;

/// <summary>JSON between operator and API server. Unlike a user's manifest, it may hold fields newer than this program.</summary>
internal static class WireJson
{
    public static JsonSerializerOptions Options { get; } = new(Manifests.Json)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip,
        TypeInfoResolver = Manifests.Json.TypeInfoResolver!.WithAddedModifier(WithoutManagers),
    };


    /// <summary>The list of who manages which field is longer than most objects, and nobody here asks for it.</summary>
    private static void WithoutManagers(JsonTypeInfo type)
    {
        if (type.Type == typeof(V1ObjectMeta))
            type.Properties.Remove(type.Properties.Single(property => property.Name == "managedFields"));
    }

    public static JsonObject ToNode(object value) => (JsonObject)JsonSerializer.SerializeToNode(value, value.GetType(), Options)!;
}
