using System.Reflection;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using k8s.Models;
using Moebius.Crds.Generation;
using Moebius.Crds.Schema;

namespace Moebius.Crds.Validation;

/// <summary>
/// Checks manifests of Moebius resources against the schemas and rules that the CustomResourceDefinitions carry,
/// without a cluster.
/// </summary>
public static partial class ManifestValidator
{
    private const int ErrorsShown = 3;

    private static readonly Lazy<Dictionary<string, V1JSONSchemaProps>> Schemas = new(() =>
        ResourceKinds.All.ToDictionary(kind => kind.Kind, kind =>
        {
            var schema = new SchemaGenerator(docs: null).Resource(kind.Type);
            schema.Properties["metadata"] = new SchemaGenerator(docs: null).Object(typeof(V1ObjectMeta));
            return schema;
        }));

    /// <summary>Everything that is wrong with a manifest, in the order of the document; empty when it is valid.</summary>
    /// <param name="manifest">The manifest as <see cref="Manifests.ParseDocuments"/> gives it.</param>
    public static IReadOnlyList<FieldError> Validate(JsonObject manifest)
    {
        if (MistakenKind(manifest) is { } mistake)
            return [mistake];
        var name = Text(manifest, "kind")!;
        var schema = Schemas.Value[name];
        var errors = SchemaValidator.Validate(manifest, schema);
        if (manifest["metadata"] is null or JsonObject)
            CheckName(manifest["metadata"] as JsonObject, ResourceKinds.All.Single(kind => kind.Kind == name).Type.GetCustomAttribute<ResourceAttribute>()!.MaxNameLength, errors);
        // Rules that span fields make sense only when each field does.
        if (errors.Count == 0)
            errors.AddRange(ObjectRules.Broken(Convert(manifest, "manifest"), ""));
        return errors;
    }

    /// <summary>True for a document that claims to be of this API group, whatever its version and kind.</summary>
    public static bool IsMoebius(JsonObject manifest) =>
        Text(manifest, "apiVersion") is { } version && (version + "/").StartsWith(ApiGroup.Name + "/", StringComparison.Ordinal);

    /// <summary>
    /// What is wrong with what a document says that it is: it is no resource at all, or one of this group with a slip in its
    /// <c>apiVersion</c> or <c>kind</c>. Null for a resource of this group and for one of somebody else.
    /// </summary>
    /// <param name="manifest">The manifest as <see cref="Manifests.ParseDocuments"/> gives it.</param>
    public static FieldError? MistakenIdentity(JsonObject manifest)
    {
        if (IsMoebius(manifest))
            return MistakenKind(manifest);
        var (version, name) = (Text(manifest, "apiVersion") ?? "", Text(manifest, "kind") ?? "");
        var ours = Schemas.Value.Keys.FirstOrDefault(kind => kind.Equals(name, StringComparison.OrdinalIgnoreCase));
        if (version.Length == 0)
            return new FieldError("apiVersion", $"{OrMissing(manifest["apiVersion"])}: {(ours is null ? $"expected a resource, such as one of {ApiGroup.ApiVersion}" : $"write {ApiGroup.ApiVersion}")}");
        if (name.Length == 0)
            return new FieldError("kind", $"{OrMissing(manifest["kind"])}: expected the kind of a resource");
        if (ours is not null)
            return new FieldError("apiVersion", $"{ValueText.Of(manifest["apiVersion"])} has no {ours}: did you mean {ApiGroup.ApiVersion}?");
        return Suggestions.Nearest(version.Split('/')[0], [ApiGroup.Name]) is null ? null : new FieldError("apiVersion", $"{ValueText.Of(manifest["apiVersion"])}: did you mean {ApiGroup.ApiVersion}?");
    }

    private static FieldError? MistakenKind(JsonObject manifest)
    {
        if (Text(manifest, "apiVersion") != ApiGroup.ApiVersion)
            return new FieldError("apiVersion", $"{ValueText.Of(manifest["apiVersion"])}: write {ApiGroup.ApiVersion}");
        var name = Text(manifest, "kind") ?? "";
        var kinds = Schemas.Value.Keys;
        if (kinds.Contains(name))
            return null;
        var hint = Suggestions.Nearest(name, kinds) is { } near ? $"did you mean {near}?" : "use one of " + string.Join(", ", kinds);
        return new FieldError("kind", $"{ValueText.Of(manifest["kind"])} is not a kind of {ApiGroup.ApiVersion}: {hint}");
    }

    private static string OrMissing(JsonNode? value) => value is null ? "required field is missing" : $"{ValueText.Of(value)} is not a text";

    /// <summary>Reads one document as the C# type of its kind.</summary>
    /// <param name="document">The document as <see cref="Manifests.ParseDocuments"/> gives it.</param>
    /// <param name="source">File name, for messages.</param>
    /// <exception cref="UserInputException">The document is not a valid resource; the message has the first errors.</exception>
    public static object LoadResource(JsonObject document, string source)
    {
        var errors = Validate(document);
        if (errors.Count > 0)
        {
            var more = errors.Count > ErrorsShown ? $" (and {errors.Count - ErrorsShown} more)" : "";
            throw new UserInputException($"{source}: {string.Join("; ", errors.Take(ErrorsShown))}{more}");
        }

        return Convert(document, source);
    }

    private static object Convert(JsonObject document, string source) =>
        Manifests.Convert(WithoutNulls(document), ResourceKinds.All.Single(kind => kind.Kind == Text(document, "kind")).Type, source);

    private static void CheckName(JsonObject? metadata, int limit, List<FieldError> errors)
    {
        if (metadata?["generateName"] is not null)
            return;
        switch (metadata?["name"])
        {
            case null:
                errors.Add(new FieldError("metadata.name", "required field is missing: give the resource a name"));
                break;
            case JsonValue value when limit > 0 && value.TryGetValue<string>(out var name) && (name.Length > limit || !SchemaValidator.Matches(Patterns.ServiceName, name)):
                errors.Add(new FieldError("metadata.name", $"{ValueText.Of(value)} is not a name: use at most {limit} lower-case letters, digits and '-', starting with a letter and ending with a letter or digit: objects made for it are named after it"));
                break;
            case JsonValue value when limit == 0 && value.TryGetValue<string>(out var name) && (name.Length > 253 || !SubdomainName().IsMatch(name)):
                errors.Add(new FieldError("metadata.name", $"{ValueText.Of(value)} is not a name: use at most 253 lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"));
                break;
        }
    }

    // An API server drops fields without a value and applies their defaults; so does this.
    private static JsonNode WithoutNulls(JsonNode node) => node switch
    {
        JsonObject value => new JsonObject(value.Where(field => field.Value is not null).Select(field => KeyValuePair.Create(field.Key, (JsonNode?)WithoutNulls(field.Value!)))),
        JsonArray value => new JsonArray([.. value.Select(item => item is null ? null : WithoutNulls(item))]),
        _ => node.DeepClone(),
    };

    private static string? Text(JsonObject manifest, string field) =>
        manifest[field] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    [GeneratedRegex(@"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\z", RegexOptions.NonBacktracking)]
    private static partial Regex SubdomainName();
}
