using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds.Generation;

namespace Moebius.Crds.Tests;

/// <summary>Walks the schemas of the definitions.</summary>
internal static class Schemas
{
    public static V1JSONSchemaProps Of(ResourceKind kind, XmlDocs? docs = null) =>
        CrdGenerator.Definition(kind, docs).Spec.Versions.Single().Schema.OpenAPIV3Schema;

    /// <summary>Every named field below a schema, with its path; what lies inside an excepted field is left out.</summary>
    public static IEnumerable<(string Path, V1JSONSchemaProps Field)> Fields(V1JSONSchemaProps schema, string[]? except = null, string path = "")
    {
        foreach (var (name, field) in schema.Properties ?? new Dictionary<string, V1JSONSchemaProps>())
        {
            var child = path.Length == 0 ? name : $"{path}.{name}";
            yield return (child, field);
            if (except?.Contains(name) == true)
                continue;
            foreach (var below in Fields(field, except, child))
                yield return below;
        }

        if ((schema.Items ?? schema.AdditionalProperties) is V1JSONSchemaProps item)
        {
            foreach (var below in Fields(item, except, path + "[]"))
                yield return below;
        }
    }

    /// <summary>Fills in defaults as an API server does: top down, so that a default object gets its fields' defaults.</summary>
    public static void ApplyDefaults(JsonNode? value, V1JSONSchemaProps schema)
    {
        if (value is JsonArray items)
        {
            foreach (var item in items)
                ApplyDefaults(item, (V1JSONSchemaProps)schema.Items);
        }

        if (value is not JsonObject fields)
            return;
        foreach (var (name, field) in schema.Properties ?? new Dictionary<string, V1JSONSchemaProps>())
        {
            if (fields[name] is null && field.DefaultProperty is JsonNode missing)
                fields[name] = missing.DeepClone();
            ApplyDefaults(fields[name], field);
        }

        if (schema.AdditionalProperties is V1JSONSchemaProps entry)
        {
            foreach (var (_, field) in fields)
                ApplyDefaults(field, entry);
        }
    }
}
