using System.Collections;
using System.Collections.Concurrent;
using System.Reflection;
using System.Text.Json.Serialization.Metadata;
using Moebius.Crds.Generation;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Validation;

/// <summary>What a schema cannot check: rules that span fields, and fields of a C# object that were set to nothing.</summary>
internal static class ObjectRules
{
    private static readonly NullabilityInfoContext Nullability = new();
    private static readonly ConcurrentDictionary<Type, Field[]> FieldsOf = new();
    private static readonly ConcurrentDictionary<Type, CelRuleAttribute[]> RulesOf = new();

    /// <summary>Fields without a value that have a default: an API server fills it in, and readers count on it.</summary>
    public static IEnumerable<FieldError> Nulls(object value, string path)
    {
        foreach (var (field, member, here) in Members(value, path))
        {
            if (member is null && field.HasDefault)
                yield return new FieldError(here, "must not be null: leave the field out for its default");
        }

        foreach (var error in Below(value, path).SelectMany(child => Nulls(child.Value, child.Path)))
            yield return error;
    }

    /// <summary>Broken rules that span fields, the outer ones first. Each field must be valid by itself.</summary>
    public static IEnumerable<FieldError> Broken(object value, string path)
    {
        foreach (var rule in RulesOf.GetOrAdd(value.GetType(), static type => [.. type.GetCustomAttributes<CelRuleAttribute>()]).Where(rule => !CelRules.Holds(rule.Message, value)))
            yield return new FieldError(path, rule.Message);
        foreach (var (field, member, here) in Members(value, path))
        {
            foreach (var rule in field.Rules.Where(rule => member is not null && !CelRules.Holds(rule.Message, member)))
                yield return new FieldError(here, $"{ValueText.Of(member?.ToString())}{(rule.Message.StartsWith("must ", StringComparison.Ordinal) ? "" : ":")} {rule.Message}");
        }

        foreach (var error in Below(value, path).SelectMany(child => Broken(child.Value, child.Path)))
            yield return error;
    }

    private static IEnumerable<(Field Field, object? Value, string Path)> Members(object value, string path) =>
        Fields(value.GetType()).Select(field => (field, field.Get(value), path.Length == 0 ? field.Name : $"{path}.{field.Name}"));

    private static IEnumerable<(object Value, string Path)> Below(object value, string path)
    {
        foreach (var (_, member, here) in Members(value, path))
        {
            if (member is IList items)
            {
                for (var index = 0; index < items.Count; index++)
                {
                    if (items[index] is { } item && IsOurs(item.GetType()))
                        yield return (item, $"{here}[{index}]");
                }
            }
            else if (member is not null && IsOurs(member.GetType()))
            {
                yield return (member, here);
            }
        }
    }

    private static bool IsOurs(Type type) => SchemaGenerator.Contract(type).Kind == JsonTypeInfoKind.Object && !KubernetesTypes.IsKubernetes(type);

    private static Field[] Fields(Type type) => FieldsOf.GetOrAdd(type, static type =>
    {
        // The context caches without locks.
        lock (Nullability)
            return [.. SchemaGenerator.Contract(type).Properties.Select(property => new Field(property, Nullability))];
    });

    private sealed class Field(JsonPropertyInfo property, NullabilityInfoContext nullability)
    {
        private readonly PropertyInfo member = (PropertyInfo)property.AttributeProvider!;

        public string Name { get; } = property.Name;

        /// <summary>Whether it always has a value, though a manifest may leave it out.</summary>
        public bool HasDefault { get; } = !property.IsRequired && nullability.Create((PropertyInfo)property.AttributeProvider!).ReadState == NullabilityState.NotNull;

        public CelRuleAttribute[] Rules { get; } = [.. ((PropertyInfo)property.AttributeProvider!).GetCustomAttributes<CelRuleAttribute>()];

        public object? Get(object value) => member.GetValue(value);
    }
}
