using System.Globalization;
using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds.Generation;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Tests.Validation;

/// <summary>Builds random valid manifests from the schema, and damages them.</summary>
internal sealed class RandomManifest(int seed)
{
    private readonly Random _random = new(seed);

    /// <summary>Texts that fit each pattern of the schemas; a new pattern asks for its line here.</summary>
    private static readonly Dictionary<string, string[]> Texts = new()
    {
        [Durations.Pattern] = ["1s", "1h30m", "250ms", "2h3m4s5ms"],
        [SchemaGenerator.BytesPattern] = ["0", "512Mi", "1.5Gi", "3k"],
        [SchemaGenerator.QuantityPattern] = ["100m", "1.5", "2Gi", "1e3"],
        [Patterns.Percentage] = ["0%", "25%", "100%"],
        ["^https?://([^\\s/?#@:\\[\\]]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?/?$"] = ["http://proxy:3128", "https://proxy.example.com/", "http://[fd00::7]:80"],
        ["^[.]?[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$"] = ["localhost", ".svc", "10.0.0.9"],
        [Patterns.ServiceName] = ["a", "a-1"],
        ["^[A-Za-z0-9-]+$"] = ["X", "X-Tenant"],
        ["^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"] = ["a", "a-1", "x0"],
        ["^[-._a-zA-Z0-9]+$"] = ["key", "A_b.c"],
        ["^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"] = ["a", "a.b-c"],
        [@"^https?://[^\s]+$"] = ["http://a", "https://a.b:1/v1"],
        ["^[A-Za-z0-9]([-A-Za-z0-9._/]*[A-Za-z0-9])?$"] = ["a", "Org/Model-1.0"],
        ["^[A-Za-z0-9][-A-Za-z0-9._:/@]*$"] = ["a", "r:5000/a/B.c:1@sha256:0f"],
        ["^/.*$"] = ["/", "/a b/c"],
        [@"^https?://[^\s/?#@]+([/?#][^\s]*)?$"] = ["http://a", "https://a.b:1/c?d=@"],
        ["^s3://[^/@]+(/.*)?$"] = ["s3://bucket", "s3://bucket/a/b"],
        ["^[0-9a-f]{64}$"] = [new string('0', 64), new string('f', 64)],
        ["^[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$"] = ["a/b", "Owner/Name-1.x"],
        [@"^[^\s/]+:[0-9]{1,5}$"] = ["host:1", "a.b:6379"],
        ["^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$"] = ["10x10", "1024x768"],
        ["^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"] = ["A", "PodsReady"],
    };

    public JsonObject Resource(ResourceKind kind)
    {
        var resource = (JsonObject)Value(Schemas.Of(kind))!;
        resource["apiVersion"] = "moebius.dev/v1alpha1";
        resource["kind"] = kind.Kind;
        resource["metadata"] = new JsonObject { ["name"] = "a", ["labels"] = new JsonObject { ["b"] = "c" } };
        return resource;
    }

    /// <summary>Replaces, removes or adds something somewhere.</summary>
    public void Damage(JsonObject manifest)
    {
        var nodes = new List<JsonNode>();
        Collect(manifest);
        switch (nodes[_random.Next(nodes.Count)])
        {
            case JsonObject fields when fields.Count > 0 && _random.Next(2) == 0:
                fields.Remove(fields.ElementAt(_random.Next(fields.Count)).Key);
                break;
            case JsonObject fields:
                fields[fields.Count > 0 && _random.Next(2) == 0 ? fields.ElementAt(_random.Next(fields.Count)).Key : "added"] = Junk();
                break;
            case JsonArray items:
                items.Insert(_random.Next(items.Count + 1), items.Count > 0 && _random.Next(2) == 0 ? items[0]?.DeepClone() : Junk());
                break;
            case var node:
                node.ReplaceWith(Junk());
                break;
        }

        void Collect(JsonNode? node)
        {
            if (node is null)
                return;
            nodes.Add(node);
            foreach (var child in node switch { JsonObject fields => fields.Select(field => field.Value), JsonArray items => items, _ => [] })
                Collect(child);
        }
    }

    private JsonNode? Junk() => _random.Next(9) switch
    {
        0 => null,
        1 => true,
        2 => _random.Next(-10, 100_000),
        3 => long.MaxValue,
        4 => _random.NextDouble() * 1e20,
        5 => "",
        6 => new string((char)_random.Next(32, 0x3000), _random.Next(1, 200)),
        7 => new JsonObject { ["name"] = 1 },
        _ => new JsonArray("x", null, 3),
    };

    private JsonNode? Value(V1JSONSchemaProps schema) => schema switch
    {
        { XKubernetesIntOrString: true } => _random.Next(3) == 0 ? _random.Next((int)(schema.Maximum ?? 1_000_000)) : Text(schema),
        { EnumProperty: { } values } => (string)values[_random.Next(values.Count)],
        { Type: "boolean" } => _random.Next(2) == 0,
        { Type: "integer" } => _random.NextInt64((long)(schema.Minimum ?? -1), (long)(schema.Maximum ?? 1000) + 1),
        { Type: "string" } => Text(schema),
        { Type: "array" } => Items(schema),
        { AdditionalProperties: V1JSONSchemaProps entry } => new JsonObject(Enumerable.Range(0, _random.Next(3)).Select(i => KeyValuePair.Create($"k{i}", Value(entry)))),
        { Properties: not null } => Fields(schema),
        _ => new JsonObject { ["any"] = new JsonArray(1, "two") },
    };

    private JsonObject Fields(V1JSONSchemaProps schema)
    {
        var fields = new JsonObject();
        foreach (var (name, field) in schema.Properties)
        {
            if (schema.Required?.Contains(name) == true || _random.Next(2) == 0)
                fields[name] = Value(field);
        }

        return fields;
    }

    private JsonArray Items(V1JSONSchemaProps schema)
    {
        var items = new JsonArray();
        var count = Math.Min(schema.MaxItems ?? 3, Math.Max(schema.MinItems ?? 0, _random.Next(3)));
        var seen = new HashSet<string>();
        for (var i = 0; i < count; i++)
        {
            var item = Value((V1JSONSchemaProps)schema.Items);
            var key = schema.XKubernetesListType == "map" ? item![schema.XKubernetesListMapKeys[0]]!.ToJsonString() : schema.XKubernetesListType == "set" ? item!.ToJsonString() : i.ToString(CultureInfo.InvariantCulture);
            if (seen.Add(key))
                items.Add(item);
        }

        return items;
    }

    private string Text(V1JSONSchemaProps schema)
    {
        if (schema.Format == "date-time")
            return "2026-01-31T12:00:00Z";
        if (schema.Pattern is null)
            return new string('é', (int)Math.Max(schema.MinLength ?? 0, _random.Next(0, 20)));
        Assert.True(Texts.TryGetValue(schema.Pattern, out var texts), $"{schema.Pattern}: add texts that match");
        return texts[_random.Next(texts.Length)];
    }
}
