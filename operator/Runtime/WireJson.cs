using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Moebius.Crds;

namespace Moebius.Operator.Runtime;

/// <summary>JSON between operator and API server. Unlike a user's manifest, it may hold fields newer than this program.</summary>
internal static class WireJson
{
    public static JsonSerializerOptions Options { get; } = new(Manifests.Json) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    public static JsonObject ToNode(object value) => (JsonObject)JsonSerializer.SerializeToNode(value, value.GetType(), Options)!;
}
