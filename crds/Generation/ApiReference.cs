using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Generation;

/// <summary>Writes the API reference: one section per kind, one table per type.</summary>
internal sealed class ApiReference
{
    private const string Preamble = """
        # API reference

        <!-- Generated from crds/ by `moebius crds generate`. Do not edit. -->

        The custom resources of the API group `moebius.dev/v1alpha1`. `kubectl explain` shows the same texts.

        - **Quantity**: a Kubernetes quantity of bytes, such as `512Mi` or `2Gi`; a plain number counts bytes.
        - **Duration**: whole numbers with units, largest first, such as `1h30m`, `60s` or `250ms`.
        - A field with a default may be left out; so may a field without one unless it is marked *required*.
        - **Rules** span several fields. The API server checks them when a resource is written (CEL), the operator again
          when it plans, for servers without CEL, and `moebius validate` offline. What compares with the resource as it
          was, such as a spec that cannot be changed, only the API server can check.


        """;

    private readonly XmlDocs _docs;
    private readonly StringBuilder _text = new(Preamble.ReplaceLineEndings("\n"));

    private ApiReference(XmlDocs docs) => _docs = docs;

    /// <summary>The whole page.</summary>
    public static string Markdown(XmlDocs docs) => new ApiReference(docs).Write();

    private string Write()
    {
        var typesOf = ResourceKinds.All.ToDictionary(kind => kind, kind => Reachable(kind.Type));
        var shared = typesOf.Values.SelectMany(types => types).GroupBy(type => type).Where(uses => uses.Count() > 1).Select(uses => uses.Key).ToList();
        foreach (var kind in ResourceKinds.All)
            _text.Append("- [").Append(kind.Kind).Append("](#").Append(Anchor(kind.Kind)).Append("): ").Append(_docs.Of(kind.Type)).Append('\n');
        _text.Append("- [Shared types](#shared-types)\n\n");
        foreach (var (kind, types) in typesOf)
        {
            Heading(kind);
            foreach (var type in types.Where(type => !shared.Contains(type)))
                Table(type);
        }

        _text.Append("## Shared types\n\n");
        foreach (var type in shared)
            Table(type);
        return _text.ToString().TrimEnd('\n') + "\n";
    }

    private void Heading(ResourceKind kind)
    {
        var resource = kind.Type.GetCustomAttribute<ResourceAttribute>()!;
        _text.Append("## ").Append(kind.Kind).Append("\n\n").Append(_docs.Of(kind.Type)).Append("\n\n")
            .Append("Short name `").Append(string.Join("`, `", resource.ShortNames)).Append("`; ")
            .Append(kind.Namespaced ? "belongs to a namespace" : "belongs to the cluster")
            .Append(resource.ScaleSpecPath is null ? "" : "; has a scale subresource (`kubectl scale`)").Append(". ")
            .AppendJoin(", ", SchemaGenerator.Contract(kind.Type).Properties.Where(property => property.Name is "spec" or "status")
                .Select(property => $"`{property.Name}` is a [{property.PropertyType.Name}](#{Anchor(property.PropertyType.Name)})")).Append(".\n\n");
    }

    private void Table(Type type)
    {
        var schema = new SchemaGenerator(_docs).Object(type);
        _text.Append("### ").Append(type.Name).Append("\n\n").Append(_docs.Of(type)).Append("\n\n");
        var rules = schema.XKubernetesValidations ?? [];
        foreach (var rule in rules)
            _text.Append("- Rule: ").Append(rule.Message).Append(".\n");
        _text.Append(rules.Count > 0 ? "\n" : "").Append("| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n");
        foreach (var property in SchemaGenerator.Contract(type).Properties)
        {
            var field = schema.Properties[property.Name];
            string[] cells = [$"`{property.Name}`", TypeText(property.PropertyType, field), DefaultText(property, field), BoundsText(field), MeaningText(field)];
            _text.Append("| ").AppendJoin(" | ", cells.Select(Cell)).Append(" |\n");
        }

        _text.Append('\n');
    }

    private static string TypeText(Type declared, V1JSONSchemaProps schema)
    {
        var type = Nullable.GetUnderlyingType(declared) ?? declared;
        if (schema.XKubernetesIntOrString == true)
            return schema.Pattern == Patterns.Percentage ? "whole number or percentage" : "Quantity";
        if (schema.Pattern == Durations.Pattern)
            return "Duration";
        if (type.IsEnum)
            return "choice";
        if (type == typeof(string))
            return "text";
        if (type == typeof(DateTime))
            return "time";
        if (type == typeof(bool))
            return "true or false";
        if (type == typeof(int) || type == typeof(long))
            return "whole number";
        if (type == typeof(JsonObject))
            return "object";
        var contract = SchemaGenerator.Contract(type);
        return contract.Kind switch
        {
            JsonTypeInfoKind.Enumerable => "list of " + TypeText(contract.ElementType!, (V1JSONSchemaProps)schema.Items),
            JsonTypeInfoKind.Dictionary => "map of " + TypeText(contract.ElementType!, (V1JSONSchemaProps)schema.AdditionalProperties),
            _ when KubernetesTypes.IsKubernetes(type) => $"Kubernetes {type.Name.Replace("V1", "", StringComparison.Ordinal)}",
            _ => $"[{type.Name}](#{Anchor(type.Name)})",
        };
    }

    // The default of an object is that of its fields, which the object's own table shows.
    private static string DefaultText(JsonPropertyInfo property, V1JSONSchemaProps field) => field.DefaultProperty switch
    {
        _ when property.IsRequired => "*required*",
        JsonValue value => $"`{value}`",
        JsonArray value => $"`{value.ToJsonString(Manifests.Json)}`",
        _ => "",
    };

    private static string BoundsText(V1JSONSchemaProps schema)
    {
        var bounds = new List<string>();
        if (schema is { Minimum: { } minimum, Maximum: { } maximum })
            bounds.Add($"{minimum} to {maximum}");
        if (schema.Pattern == Patterns.Percentage)
            bounds.Add("0% to 100%");
        if (schema.MaxItems is { } items)
            bounds.Add($"{schema.MinItems ?? 0} to {items} items");
        if (schema.MaxProperties is { } properties)
            bounds.Add($"{schema.MinProperties ?? 0} to {properties} entries");
        if (schema.XKubernetesListMapKeys is [var key])
            bounds.Add($"`{key}` is unique");
        if (schema.XKubernetesListType == "set")
            bounds.Add("no duplicates");
        if (schema.XKubernetesIntOrString != true && schema.Pattern != Durations.Pattern)
        {
            if (schema.MaxLength is { } length)
                bounds.Add($"{schema.MinLength ?? 0} to {length} characters");
            if (schema.Pattern is { } pattern)
                bounds.Add($"`{pattern}`");
        }

        if (schema.Type != "object")
            bounds.AddRange((schema.XKubernetesValidations ?? []).Select(rule => rule.Message));
        if ((schema.Items ?? schema.AdditionalProperties) is V1JSONSchemaProps { Type: "string" } item && BoundsText(item) is { Length: > 0 } each)
            bounds.Add($"each: {each}");
        return string.Join("; ", bounds);
    }

    // What a list may hold is said of its items.
    private static string MeaningText(V1JSONSchemaProps field)
    {
        var items = field.Items is V1JSONSchemaProps { EnumProperty: not null, Description: { } text } ? text : "";
        return field.Description + (items.IndexOf("\n- ", StringComparison.Ordinal) is var list and >= 0 ? items[list..] : "");
    }

    // A table cell is one line, and a bar would end it.
    private static string Cell(string value) => value.Replace("|", "\\|", StringComparison.Ordinal).Replace("\n\n", "<br>", StringComparison.Ordinal).Replace("\n- ", "<br>- ", StringComparison.Ordinal);

    private static string Anchor(string heading) => heading.ToLowerInvariant();

    /// <summary>The object types of a resource below its root, each before the types of its fields.</summary>
    private static List<Type> Reachable(Type root)
    {
        var found = new List<Type>();
        Visit(root);
        found.Remove(root);
        return found;

        void Visit(Type declared)
        {
            var type = Nullable.GetUnderlyingType(declared) ?? declared;
            if (type == typeof(JsonObject) || type == typeof(object) || KubernetesTypes.IsKubernetes(type))
                return;
            var contract = SchemaGenerator.Contract(type);
            if (contract.ElementType is { } element)
                Visit(element);
            if (contract.Kind != JsonTypeInfoKind.Object || found.Contains(type))
                return;
            found.Add(type);
            foreach (var property in contract.Properties)
                Visit(property.PropertyType);
        }
    }
}
