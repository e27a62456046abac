using System.Collections.Concurrent;
using System.Text.Json;
using k8s.Models;
using Moebius.Crds.Generation;

namespace Moebius.Crds.Validation;

/// <summary>
/// Checks an object against everything that its type declares: what an API server checks in a custom resource, for
/// configuration files, request bodies and servers without CEL, which come past none.
/// </summary>
public static class SpecCheck
{
    private static readonly ConcurrentDictionary<Type, V1JSONSchemaProps> Schemas = new();

    /// <summary>
    /// Everything that is wrong: fields against their schema, then, when each of them is right by itself, the rules that
    /// span fields. Rules that compare with an earlier version of the object count as kept.
    /// </summary>
    /// <param name="spec">The object: a spec, a part of one, or any class with the attributes of <c>Moebius.Crds.Schema</c>.</param>
    /// <param name="path">Where it stands, such as <c>spec</c>; empty for the root of a document.</param>
    public static IReadOnlyList<FieldError> Errors(object? spec, string path)
    {
        if (spec is null)
            return [new FieldError(path, "required field is missing: set it to an object with fields")];
        var type = spec.GetType();
        var schema = Schemas.GetOrAdd(type, static type => new SchemaGenerator(docs: null).Object(type));
        var errors = SchemaValidator.Validate(JsonSerializer.SerializeToNode(spec, type, Manifests.Json)!.AsObject(), schema, path);
        errors.AddRange(ObjectRules.Nulls(spec, path));
        if (errors.Count == 0)
            errors.AddRange(ObjectRules.Broken(spec, path));
        return errors;
    }

    /// <summary>Refuses an object with an error.</summary>
    /// <param name="spec">The object.</param>
    /// <param name="path">Where it stands in its document.</param>
    /// <param name="source">File name, for the message.</param>
    /// <exception cref="UserInputException">The first error, by its path.</exception>
    public static void Require(object? spec, string path, string source)
    {
        if (Errors(spec, path) is [var error, ..])
            throw new UserInputException($"{source}: {error}");
    }
}
