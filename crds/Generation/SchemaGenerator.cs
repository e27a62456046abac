using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Generation;

/// <summary>
/// Turns a C# type into a structural OpenAPI schema. Names, order and nullability come from the serializer's own
/// contract, so that the schema and what is read and written cannot differ; defaults are read from a new instance.
/// </summary>
/// <param name="docs">Descriptions, or null for a schema without them.</param>
internal sealed class SchemaGenerator(XmlDocs? docs)
{
    /// <summary>The Kubernetes project's own expression for quantities.</summary>
    public const string QuantityPattern =
        @"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

    /// <summary>Quantities of bytes in our own fields: no sign, and no unit below one.</summary>
    public const string BytesPattern = @"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPE])?$";

    private const int MaxDurationLength = 37;

    private readonly Stack<Type> _open = new();

    /// <summary>The schema of a whole resource.</summary>
    public V1JSONSchemaProps Resource(Type type)
    {
        var schema = Object(type);
        schema.Description = docs?.Of(type);
        // The API server knows the schema of metadata itself and allows no other, but takes limits of the name.
        schema.Properties["metadata"] = new V1JSONSchemaProps { Type = "object" };
        if (type.GetCustomAttribute<ResourceAttribute>() is { MaxNameLength: > 0 and var length })
            schema.Properties["metadata"].Properties = new Dictionary<string, V1JSONSchemaProps> { ["name"] = new() { Type = "string", MaxLength = length, Pattern = Patterns.ServiceName } };
        foreach (var field in new[] { "apiVersion", "kind" })
            schema.Properties[field].DefaultProperty = null;
        foreach (var field in new[] { "spec", "status" })
            schema.Properties[field].Description = docs?.Of(Contract(type).Properties.Single(property => property.Name == field).PropertyType);
        return schema;
    }

    /// <summary>The schema of a class with its fields.</summary>
    /// <exception cref="NotSupportedException">The type contains itself, or a field of a type without a schema.</exception>
    public V1JSONSchemaProps Object(Type type)
    {
        if (_open.Contains(type))
            throw new NotSupportedException($"{type.Name} contains itself: a structural schema cannot say that");
        _open.Push(type);
        var defaults = Defaults(type);
        var schema = new V1JSONSchemaProps { Type = "object", Properties = new Dictionary<string, V1JSONSchemaProps>(), XKubernetesValidations = Rules(type) };
        foreach (var property in Contract(type).Properties)
        {
            var field = Field(property);
            if (!property.IsRequired && defaults?[property.Name] is { } value)
                field.DefaultProperty = DefaultOf(property.PropertyType, value, field);
            schema.Properties.Add(property.Name, field);
        }

        var required = Contract(type).Properties.Where(property => property.IsRequired).Select(property => property.Name).ToList();
        schema.Required = required.Count == 0 ? null : required;
        if (KubernetesTypes.IsKubernetes(type))
            KubernetesTypes.Complete(type, schema);
        _open.Pop();
        return schema;
    }

    /// <summary>The serializer's view of a type.</summary>
    public static JsonTypeInfo Contract(Type type) => Manifests.Json.GetTypeInfo(type);

    private static JsonObject? Defaults(Type type) => KubernetesTypes.IsKubernetes(type)
        ? null
        : (JsonObject)JsonSerializer.SerializeToNode(Activator.CreateInstance(type), type, Manifests.Json)!;

    private static JsonNode? DefaultOf(Type type, JsonNode value, V1JSONSchemaProps field)
    {
        // Kubernetes 1.20 reads an empty text as null and refuses the definition; left out means the same to a reader.
        if (value.GetValueKind() == JsonValueKind.String && value.GetValue<string>().Length == 0)
            return null;
        // An empty object takes the defaults of its fields, which so stand in one place only. But an API server checks a
        // default against the rules of its schema before it fills in anything: with rules it has to be complete.
        var ownDefaults = IsObject(type) && JsonNode.DeepEquals(value, Defaults(type));
        return ownDefaults && field.XKubernetesValidations is null ? new JsonObject() : value.DeepClone();
    }

    private static bool IsObject(Type type) => Contract(type).Kind == JsonTypeInfoKind.Object && !KubernetesTypes.IsKubernetes(type);

    private V1JSONSchemaProps Field(JsonPropertyInfo property)
    {
        var member = (MemberInfo)property.AttributeProvider!;
        var type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
        var schema = Value(type);
        schema.Description = Describe(docs?.Of(member), type);
        if (IsBytes(member, type))
            (schema.Pattern, schema.Minimum) = (BytesPattern, 0);
        ApplyBounds(schema, member);
        ApplyListType(schema, member);
        if (member.GetCustomAttribute<PreserveUnknownFieldsAttribute>() is not null)
            schema.XKubernetesPreserveUnknownFields = true;
        if (Rules(member) is { } rules)
            schema.XKubernetesValidations = [.. schema.XKubernetesValidations ?? [], .. rules];
        return schema;
    }

    private V1JSONSchemaProps Value(Type type)
    {
        if (type == typeof(string))
            return new V1JSONSchemaProps { Type = "string" };
        if (type == typeof(bool))
            return new V1JSONSchemaProps { Type = "boolean" };
        if (type == typeof(int))
            return new V1JSONSchemaProps { Type = "integer", Format = "int32" };
        if (type == typeof(long))
            return new V1JSONSchemaProps { Type = "integer", Format = "int64" };
        if (type == typeof(DateTime))
            return new V1JSONSchemaProps { Type = "string", Format = "date-time" };
        if (type.IsEnum)
            return new V1JSONSchemaProps { Type = "string", EnumProperty = [.. Enum.GetNames(type)] };
        if (type == typeof(ResourceQuantity) || type == typeof(ByteQuantity))
            return IntOrText(QuantityPattern);
        if (type == typeof(IntOrString))
            return IntOrText(pattern: null);
        if (type == typeof(JsonObject))
            return new V1JSONSchemaProps { Type = "object" };
        if (type == typeof(object))
            return new V1JSONSchemaProps { Type = "object", XKubernetesPreserveUnknownFields = true };
        return Contract(type) switch
        {
            { Kind: JsonTypeInfoKind.Dictionary, ElementType: { } element } => new V1JSONSchemaProps { Type = "object", AdditionalProperties = Item(element) },
            { Kind: JsonTypeInfoKind.Enumerable, ElementType: { } element } => new V1JSONSchemaProps { Type = "array", Items = Item(element), XKubernetesListType = "atomic" },
            { Kind: JsonTypeInfoKind.Object } => Object(type),
            _ => throw new NotSupportedException($"{type}: no schema for this type"),
        };
    }

    private V1JSONSchemaProps Item(Type type)
    {
        var schema = Value(type);
        if (Contract(type).Kind == JsonTypeInfoKind.Object || type.IsEnum)
            schema.Description = Describe(docs?.Of(type), type);
        return schema;
    }

    private static V1JSONSchemaProps IntOrText(string? pattern) => new()
    {
        AnyOf = [new V1JSONSchemaProps { Type = "integer" }, new V1JSONSchemaProps { Type = "string" }],
        Pattern = pattern,
        XKubernetesIntOrString = true,
    };

    /// <summary>A description followed by what each allowed value means.</summary>
    private string? Describe(string? summary, Type type)
    {
        if (summary is null || docs is null || !type.IsEnum)
            return summary;
        var values = type.GetFields(BindingFlags.Public | BindingFlags.Static).Select(value => $"- {value.Name}: {docs.Of(value)}");
        return summary + "\n" + string.Join("\n", values);
    }

    private static bool IsBytes(MemberInfo member, Type type) => type == typeof(ByteQuantity) || (type == typeof(ResourceQuantity) && !KubernetesTypes.IsKubernetes(member.DeclaringType!));

    private static void ApplyBounds(V1JSONSchemaProps schema, MemberInfo member)
    {
        if (member.GetCustomAttribute<RangeAttribute>() is { } range)
            (schema.Minimum, schema.Maximum) = (range.Minimum, range.Maximum);
        if (member.GetCustomAttribute<DurationAttribute>() is not null)
            (schema.Pattern, schema.MinLength, schema.MaxLength) = (Durations.Pattern, 2, MaxDurationLength);
        if (member.GetCustomAttribute<PatternAttribute>() is { } pattern)
            (schema.Items as V1JSONSchemaProps ?? schema).Pattern = pattern.Expression;
        if (member.GetCustomAttribute<SizeAttribute>() is { } size)
            Limit(schema, size.Minimum, size.Maximum);
        if (member.GetCustomAttribute<ItemSizeAttribute>() is { } item)
            Limit((V1JSONSchemaProps)(schema.Items ?? schema.AdditionalProperties), item.Minimum, item.Maximum);
    }

    private static void Limit(V1JSONSchemaProps schema, int minimum, int maximum)
    {
        long? least = minimum == 0 ? null : minimum;
        switch (schema.Type)
        {
            case "string":
                (schema.MinLength, schema.MaxLength) = (least, maximum);
                break;
            case "array":
                (schema.MinItems, schema.MaxItems) = (least, maximum);
                break;
            default:
                (schema.MinProperties, schema.MaxProperties) = (least, maximum);
                break;
        }
    }

    private static void ApplyListType(V1JSONSchemaProps schema, MemberInfo member)
    {
        if (member.GetCustomAttribute<ListMapAttribute>() is { } map)
            (schema.XKubernetesListType, schema.XKubernetesListMapKeys) = ("map", [map.Key]);
        if (member.GetCustomAttribute<ListSetAttribute>() is not null)
            schema.XKubernetesListType = "set";
    }

    private static List<V1ValidationRule>? Rules(MemberInfo member)
    {
        var rules = member.GetCustomAttributes<CelRuleAttribute>().Select(rule => new V1ValidationRule { Rule = rule.Rule, Message = rule.Message }).ToList();
        return rules.Count == 0 ? null : rules;
    }
}
