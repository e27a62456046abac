using System.Text.Json;
using System.Text.Json.Nodes;
using FsCheck;
using k8s.Models;
using Moebius.Crds.Schema;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests.Validation;

public sealed class ManifestProperties
{
    [Property(MaxTest = 200)]
    public void A_valid_manifest_is_valid_again_when_read_and_written(AnyInt seed)
    {
        var (kind, manifest) = Manifest(seed.Item);
        var errors = ManifestValidator.Validate(manifest);
        // A random manifest fits its schema, but may break a rule that spans fields.
        Assert.All(errors, error => Assert.Contains(CelRules.Messages, rule => error.Message.EndsWith(rule, StringComparison.Ordinal)));
        var read = Manifests.Convert(manifest, kind.Type, "m");
        var written = Write(read);
        Assert.Equal(errors, ManifestValidator.Validate(written));
        Assert.Equal(errors, SpecCheck.Errors(kind.Type.GetProperty("Spec")!.GetValue(read), "spec"));
        AssertSame(written, Write(Manifests.Convert(written, kind.Type, "m")));
        AssertSame(written, Manifests.ParseDocuments(Manifests.ToYaml(written), "y").Single());
    }

    [Property(MaxTest = 200)]
    public void Defaults_of_the_schema_are_those_of_the_types(AnyInt seed)
    {
        var (kind, manifest) = Manifest(seed.Item);
        var read = Write(Manifests.Convert(manifest, kind.Type, "m"));
        var defaulted = (JsonObject)manifest.DeepClone();
        Schemas.ApplyDefaults(defaulted, Schemas.Of(kind));
        AssertSame(Canonical(Schemas.Of(kind), read), Canonical(Schemas.Of(kind), defaulted));
    }

    [Property(MaxTest = 1000)]
    public void A_damaged_manifest_is_refused_or_can_be_read(AnyInt seed)
    {
        var (kind, manifest) = Manifest(seed.Item);
        var damage = new RandomManifest(seed.Item);
        for (var i = 0; i <= Math.Abs(seed.Item % 3); i++)
            damage.Damage(manifest);
        var errors = ManifestValidator.Validate(manifest);
        Assert.All(errors, error => Assert.DoesNotContain('\n', error.ToString()));
        if (errors.Count > 0)
            return;
        Assert.IsType(kind.Type, ManifestValidator.LoadResource(Assert.Single(Manifests.ParseDocuments(manifest.ToJsonString(), "m.yaml")), "m.yaml"));
    }

    private static (ResourceKind Kind, JsonObject Manifest) Manifest(int seed)
    {
        var kind = ResourceKinds.All[(int)((uint)seed % (uint)ResourceKinds.All.Count)];
        return (kind, new RandomManifest(seed).Resource(kind));
    }

    private static JsonObject Write(object resource) => (JsonObject)JsonSerializer.SerializeToNode(resource, resource.GetType(), Manifests.Json)!;

    /// <summary>The same value with quantities in one spelling, metadata left out, and empty texts, which have no default in the schema, too.</summary>
    private static JsonNode? Canonical(V1JSONSchemaProps schema, JsonNode? value) => value switch
    {
        JsonValue when schema.XKubernetesIntOrString == true && schema.Pattern != Patterns.Percentage => new ResourceQuantity(value.ToString()).ToString(),
        JsonValue when schema.Format == "date-time" => value.ToString().TrimEnd('Z'),
        JsonArray items => new JsonArray([.. items.Select(item => Canonical(schema.Items as V1JSONSchemaProps ?? new V1JSONSchemaProps(), item))]),
        JsonObject fields => new JsonObject(fields
            .Where(field => field.Key != "metadata" && field.Value?.ToString() != "")
            .Select(field => KeyValuePair.Create(field.Key, Canonical(Below(schema, field.Key), field.Value)))
            .OrderBy(field => field.Key, StringComparer.Ordinal)),
        _ => value?.DeepClone(),
    };

    private static V1JSONSchemaProps Below(V1JSONSchemaProps schema, string field) =>
        schema.Properties?.TryGetValue(field, out var known) == true ? known : schema.AdditionalProperties as V1JSONSchemaProps ?? new V1JSONSchemaProps();

    private static void AssertSame(JsonNode? expected, JsonNode? actual)
    {
        if (!JsonNode.DeepEquals(expected, actual))
            Assert.Equal(expected?.ToJsonString(), actual?.ToJsonString());
    }
}
