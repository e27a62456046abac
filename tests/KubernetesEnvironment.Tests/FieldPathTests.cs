using System.Text.Json.Nodes;

namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>Fields are printed as kubectl prints them.</summary>
public sealed class FieldPathTests
{
    private const string Object = """
        {"metadata":{"name":"a","labels":{"app.kubernetes.io/name":"x"}},"spec":{"count":2,"on":true,"none":null,"empty":{},"say":"<ü>"},
         "items":[{"type":"Ready","reason":"Slow","of":{"name":"b"},"args":["1","2"]},{"type":"Other","of":{"name":"b"},"args":["3"]},{"reason":"Fast","type":"Ready","args":[]}]}
        """;

    [Theory]
    [InlineData("{.metadata.name}", "a")]
    [InlineData("{.metadata.name} of {.spec.count}, {.spec.on}", "a of 2, true")]
    [InlineData(@"{.metadata.labels.app\.kubernetes\.io/name}", "x")]
    [InlineData("{.metadata.labels}", """{"app.kubernetes.io/name":"x"}""")]
    [InlineData("{.spec.none}{.spec.missing.deeper}{.metadata[0]}{.items.name}{.items[7].type}", "")]
    [InlineData("{.spec.empty} {.spec.say}", "{} <ü>")]
    [InlineData("{.items[1].type}", "Other")]
    [InlineData("{.items[*].type}", "Ready Other Ready")]
    [InlineData("{.items[?(@.type=='Ready')].reason}", "Slow Fast")]
    [InlineData("{.items[?(@.of.name=='b')].args[0]}", "1 3")]
    [InlineData("{.items[?(@.type=='}')].reason}", "")]
    [InlineData("{.items[0].args}", """["1","2"]""")]
    [InlineData("plain", "plain")]
    public void A_template_is_filled_in(string template, string expected) => Assert.Equal(expected, FieldPath.Print(template, JsonNode.Parse(Object)!));

    [Theory]
    [InlineData("{.items[?(@.type!='Ready')].reason}", "'[?(@.type!='Ready')].reason' in the path")]
    [InlineData("{metadata}", "'metadata' in the path")]
    [InlineData("{range .items[*]}", "'range .items[*]' in the path")]
    public void What_is_not_known_is_named(string template, string expected) =>
        Assert.StartsWith(expected, Assert.Throws<FormatException>(() => FieldPath.Print(template, JsonNode.Parse(Object)!)).Message, StringComparison.Ordinal);
}
