using System.Reflection;
using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Generation;

/// <summary>Writes the CustomResourceDefinition of a kind.</summary>
internal static class CrdGenerator
{
    /// <summary>The definition of a kind, with descriptions when <paramref name="docs"/> is given.</summary>
    public static V1CustomResourceDefinition Definition(ResourceKind kind, XmlDocs? docs)
    {
        var resource = kind.Type.GetCustomAttribute<ResourceAttribute>()!;
        return new V1CustomResourceDefinition
        {
            ApiVersion = "apiextensions.k8s.io/v1",
            Kind = V1CustomResourceDefinition.KubeKind,
            Metadata = new V1ObjectMeta
            {
                Name = $"{kind.Plural}.{ApiGroup.Name}",
                Labels = new Dictionary<string, string> { ["app.kubernetes.io/part-of"] = "moebius" },
            },
            Spec = new V1CustomResourceDefinitionSpec
            {
                Group = ApiGroup.Name,
                Names = new V1CustomResourceDefinitionNames
                {
                    Kind = kind.Kind,
                    ListKind = kind.Kind + "List",
                    Plural = kind.Plural,
                    Singular = kind.Kind.ToLowerInvariant(),
                    ShortNames = [.. resource.ShortNames],
                    Categories = ["moebius"],
                },
                Scope = kind.Namespaced ? "Namespaced" : "Cluster",
                Versions = [Version(kind, resource, docs)],
            },
        };
    }

    /// <summary>The definition as YAML.</summary>
    public static string Yaml(ResourceKind kind, XmlDocs docs) =>
        "# Generated from crds/ by `moebius crds generate`. Do not edit.\n" + Manifests.ToYaml(Definition(kind, docs));

    private static V1JSONSchemaProps Schema(ResourceKind kind, XmlDocs? docs)
    {
        var schema = new SchemaGenerator(docs).Resource(kind.Type);
        FieldFacts.AddTo(schema);
        return schema;
    }

    private static V1CustomResourceDefinitionVersion Version(ResourceKind kind, ResourceAttribute resource, XmlDocs? docs) => new()
    {
        Name = ApiGroup.Version,
        Served = true,
        Storage = true,
        Schema = new V1CustomResourceValidation { OpenAPIV3Schema = Schema(kind, docs) },
        AdditionalPrinterColumns = [.. kind.Type.GetCustomAttributes<PrinterColumnAttribute>().Select(Column)],
        Subresources = new V1CustomResourceSubresources
        {
            Status = new JsonObject(),
            Scale = resource.ScaleSpecPath is null
                ? null
                : new V1CustomResourceSubresourceScale
                {
                    SpecReplicasPath = resource.ScaleSpecPath,
                    StatusReplicasPath = resource.ScaleStatusPath,
                    LabelSelectorPath = resource.ScaleSelectorPath,
                },
        },
    };

    private static V1CustomResourceColumnDefinition Column(PrinterColumnAttribute column) => new()
    {
        Name = column.Name,
        JsonPath = column.JsonPath,
        Type = column.Type,
        Priority = column.Priority == 0 ? null : column.Priority,
        Description = column.Description,
    };
}
