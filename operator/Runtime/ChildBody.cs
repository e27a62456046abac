using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>A planned child as it is sent: with a hash of itself, so that dropped fields are noticed too.</summary>
internal sealed class ChildBody
{
    private static readonly JsonSerializerOptions Hashed = new(WireJson.Options) { Encoder = JavaScriptEncoder.Default };

    private readonly byte[] _json;

    public ChildBody(IKubernetesObject<V1ObjectMeta> child)
    {
        _json = JsonSerializer.SerializeToUtf8Bytes(child, child.GetType(), Hashed);
        Hash = ChildBuilder.Hash(_json);
    }

    /// <summary>Differs between any two plans that differ.</summary>
    public string Hash { get; }

    /// <summary>The object to send. Made anew for each caller: most children need none, because nothing is to be sent.</summary>
    public JsonObject ToNode()
    {
        var body = (JsonObject)JsonNode.Parse(_json)!;
        var metadata = (JsonObject)body["metadata"]!;
        if (metadata["annotations"] is not JsonObject annotations)
            metadata["annotations"] = annotations = [];
        annotations[Labels.PlanHash] = Hash;
        return body;
    }
}
