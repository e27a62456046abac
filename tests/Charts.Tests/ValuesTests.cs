using System.Text.Json.Nodes;

namespace Moebius.Charts.Tests;

/// <summary>Every value is documented, in the schema and in values.yaml, and no other is accepted.</summary>
public sealed class ValuesTests
{
    public static TheoryData<string> Charts => ["charts/moebius", "charts/moebius-crds"];

    [Theory]
    [MemberData(nameof(Charts))]
    public void Every_value_is_in_the_schema_with_a_description_and_has_a_default(string chart)
    {
        var schema = Schema(chart);
        var values = Rendered.Parse(File.ReadAllText(RepositoryFiles.At($"{chart}/values.yaml"))).Objects[0];

        Check("", values, schema);
        Assert.Equal(
            schema["properties"]!.AsObject().Select(one => one.Key).Where(name => name != "global").Order(StringComparer.Ordinal),
            values.Select(one => one.Key).Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Charts))]
    public void Every_object_of_the_schema_refuses_unknown_fields(string chart) => RefusesUnknown("", Schema(chart));

    [Fact]
    public void Every_value_is_used_by_a_template()
    {
        var templates = string.Join('\n', Directory.GetFiles(RepositoryFiles.At("charts/moebius/templates")).Select(File.ReadAllText));
        var values = Rendered.Parse(File.ReadAllText(RepositoryFiles.At("charts/moebius/values.yaml"))).Objects[0];

        Assert.All(values, value => Assert.Matches($@"\.Values\.{value.Key}\b", templates));
    }

    private static JsonObject Schema(string chart) => JsonNode.Parse(File.ReadAllText(RepositoryFiles.At($"{chart}/values.schema.json")))!.AsObject();

    private static void Check(string path, JsonObject values, JsonObject schema)
    {
        foreach (var (name, value) in values)
        {
            var property = schema["properties"]?[name]?.AsObject();
            Assert.True(property is not null, $"{path}{name}: is not in the schema");
            Assert.True(((string?)property["description"])?.Length > 3, $"{path}{name}: has no description");
            if (value is JsonObject inner && property["properties"] is not null)
                Check($"{path}{name}.", inner, property);
        }
    }

    private static void RefusesUnknown(string path, JsonNode? node)
    {
        switch (node)
        {
            case JsonObject schema:
                // A map of texts has keys of the user's own; what charts above this one share is theirs.
                if ((string?)(schema["type"] as JsonValue) == "object" && path != "/properties/global" && (string?)(schema["additionalProperties"] as JsonObject)?["type"] != "string")
                    Assert.True(schema["additionalProperties"] is JsonValue closed && !closed.GetValue<bool>() && schema["properties"] is JsonObject, $"{path}: accepts unknown fields");
                foreach (var (name, value) in schema)
                    RefusesUnknown($"{path}/{name}", value);
                break;
            case JsonArray array:
                foreach (var (index, value) in array.Index())
                    RefusesUnknown($"{path}/{index}", value);
                break;
        }
    }
}
