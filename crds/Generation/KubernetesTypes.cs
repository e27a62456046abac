using k8s.Models;

namespace Moebius.Crds.Generation;

/// <summary>
/// What the C# classes of the Kubernetes client cannot say about the types that our schemas embed: required fields,
/// allowed values, list and map types. From the Kubernetes API reference.
/// </summary>
internal static class KubernetesTypes
{
    private static readonly Dictionary<Type, Action<V1JSONSchemaProps>> Facts = new()
    {
        [typeof(V1Condition)] = schema =>
        {
            schema.Required = ["lastTransitionTime", "message", "reason", "status", "type"];
            Enum(schema, "status", "True", "False", "Unknown");
            schema.Properties["message"].MaxLength = 32768;
            schema.Properties["observedGeneration"].Minimum = 0;
            (schema.Properties["reason"].MinLength, schema.Properties["reason"].MaxLength) = (1, 1024);
            schema.Properties["reason"].Pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";
            schema.Properties["type"].MaxLength = 316;
        },
        [typeof(V1ResourceRequirements)] = schema =>
        {
            schema.Properties["claims"].XKubernetesListType = "map";
            schema.Properties["claims"].XKubernetesListMapKeys = ["name"];
        },
        [typeof(Corev1ResourceClaim)] = schema => schema.Required = ["name"],
        [typeof(V1Toleration)] = schema =>
        {
            Enum(schema, "effect", "NoSchedule", "PreferNoSchedule", "NoExecute");
            Enum(schema, "operator", "Exists", "Equal", "Lt", "Gt");
        },
        [typeof(V1TopologySpreadConstraint)] = schema =>
        {
            schema.Required = ["maxSkew", "topologyKey", "whenUnsatisfiable"];
            schema.Properties["maxSkew"].Minimum = 1;
            schema.Properties["minDomains"].Minimum = 1;
            Enum(schema, "whenUnsatisfiable", "DoNotSchedule", "ScheduleAnyway");
            Enum(schema, "nodeAffinityPolicy", "Honor", "Ignore");
            Enum(schema, "nodeTaintsPolicy", "Honor", "Ignore");
        },
        [typeof(V1LabelSelector)] = schema => schema.XKubernetesMapType = "atomic",
        [typeof(V1LabelSelectorRequirement)] = schema =>
        {
            schema.Required = ["key", "operator"];
            Enum(schema, "operator", "In", "NotIn", "Exists", "DoesNotExist");
        },
        [typeof(V1IPBlock)] = schema => schema.Required = ["cidr"],
        [typeof(V1NetworkPolicyPeer)] = _ => { },
        [typeof(V1ObjectMeta)] = _ => { },
        [typeof(V1ManagedFieldsEntry)] = _ => { },
        [typeof(V1OwnerReference)] = schema => schema.Required = ["apiVersion", "kind", "name", "uid"],
    };

    /// <summary>True for a type of the Kubernetes client.</summary>
    public static bool IsKubernetes(Type type) => type.Assembly == typeof(V1ObjectMeta).Assembly;

    /// <summary>Completes the schema made from the class.</summary>
    /// <exception cref="NotSupportedException">A type that this table does not know.</exception>
    public static void Complete(Type type, V1JSONSchemaProps schema)
    {
        if (!Facts.TryGetValue(type, out var complete))
            throw new NotSupportedException($"{type.Name}: add its required fields and allowed values to {nameof(KubernetesTypes)}, and its name to KubernetesDocs.xslt");
        complete(schema);
    }

    private static void Enum(V1JSONSchemaProps schema, string field, params string[] values) =>
        schema.Properties[field].EnumProperty = [.. values];
}
