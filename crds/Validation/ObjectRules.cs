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
    private static readonly ConcurrentDictionary<Type, Contents> ContentsOf = new();

    /// <summary>Fields without a value that have a default: an API server fills it in, and readers count on it.</summary>
    public static IEnumerable<FieldError> Nulls(object value, string path)
    {
        var errors = new List<FieldError>();
        Nulls(value, path, errors);
        return errors;
    }

    /// <summary>Broken rules that span fields, the outer ones first. Each field must be valid by itself.</summary>
    public static IEnumerable<FieldError> Broken(object value, string path)
    {
        var errors = new List<FieldError>();
        Broken(value, path, errors);
        return errors;
    }

    private static void Nulls(object value, string path, List<FieldError> errors)
    {
        var contents = Of(value.GetType());
        foreach (var field in contents.Fields)
        {
            if (field.HasDefault && field.Get(value) is null)
                errors.Add(new FieldError(Below(path, field.Name), "must not be null: leave the field out for its default"));
        }

        Descend(contents, value, path, errors, Nulls);
    }

    private static void Broken(object value, string path, List<FieldError> errors)
    {
        var contents = Of(value.GetType());
        foreach (var rule in contents.Rules)
        {
            if (!CelRules.Holds(rule.Message, value))
                errors.Add(new FieldError(path, rule.Message));
        }

        foreach (var field in contents.Fields)
        {
            if (field.Rules.Length == 0 || field.Get(value) is not { } member)
                continue;
            foreach (var rule in field.Rules.Where(rule => !CelRules.Holds(rule.Message, member)))
                errors.Add(new FieldError(Below(path, field.Name), $"{ValueText.Of(member.ToString())}{(rule.Message.StartsWith("must ", StringComparison.Ordinal) ? "" : ":")} {rule.Message}"));
        }

        Descend(contents, value, path, errors, Broken);
    }

    private static void Descend(Contents contents, object value, string path, List<FieldError> errors, Action<object, string, List<FieldError>> visit)
    {
        foreach (var field in contents.Fields)
        {
            if (!field.MayHoldOurs || field.Get(value) is not { } member)
                continue;
            if (member is IList items)
            {
                for (var index = 0; index < items.Count; index++)
                {
                    if (items[index] is { } item && Of(item.GetType()).IsOurs)
                        visit(item, $"{Below(path, field.Name)}[{index}]", errors);
                }
            }
            else if (Of(member.GetType()).IsOurs)
            {
                visit(member, Below(path, field.Name), errors);
            }
        }
    }

    private static string Below(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";

    private static Contents Of(Type type) => ContentsOf.GetOrAdd(type, static type =>
    {
        var isOurs = SchemaGenerator.Contract(type).Kind == JsonTypeInfoKind.Object && !KubernetesTypes.IsKubernetes(type);
        // The context caches without locks.
        lock (Nullability)
            return new Contents(isOurs, isOurs ? [.. SchemaGenerator.Contract(type).Properties.Select(property => new Field(property, Nullability))] : [], [.. type.GetCustomAttributes<CelRuleAttribute>()]);
    });

    /// <summary>What is to be looked at in objects of a type.</summary>
    /// <param name="IsOurs">Whether it is a class with fields that the project declares.</param>
    /// <param name="Fields">Its fields.</param>
    /// <param name="Rules">Rules of the type.</param>
    private sealed record Contents(bool IsOurs, Field[] Fields, CelRuleAttribute[] Rules);

    private sealed class Field(JsonPropertyInfo property, NullabilityInfoContext nullability)
    {
        public string Name { get; } = property.Name;

        /// <summary>Whether it always has a value, though a manifest may leave it out.</summary>
        public bool HasDefault { get; } = !property.IsRequired && nullability.Create((PropertyInfo)property.AttributeProvider!).ReadState == NullabilityState.NotNull;

        public CelRuleAttribute[] Rules { get; } = [.. ((PropertyInfo)property.AttributeProvider!).GetCustomAttributes<CelRuleAttribute>()];

        /// <summary>Whether values are objects or lists of them; texts, numbers and the like have no contents.</summary>
        public bool MayHoldOurs { get; } = !property.PropertyType.IsValueType && property.PropertyType != typeof(string);

        public object? Get(object value) => property.Get!(value);
    }
}
