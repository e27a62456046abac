using System.Text.Json.Nodes;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class ServerShapeTests
{
    private const string Planned = """{"a":"","b":{"c":0},"d":false,"env":[{"name":"x","value":""},{"name":"y","value":"1"}],"args":["p"]}""";

    [Theory]
    [InlineData(Planned, null)]
    [InlineData("""{"b":{"c":0},"d":false,"env":[{"name":"x"},{"name":"y","value":"1"}],"args":["p"]}""", null)]
    [InlineData("""{"b":{"c":1},"d":false,"env":[{"name":"x"},{"name":"y","value":"1"}],"args":["p"]}""", null)]
    [InlineData("""{"b":{"c":1},"env":[{"name":"x"},{"name":"y","value":"1"}],"args":["p"]}""", "d")]
    [InlineData("""{"b":{"c":2},"d":false,"env":[{"name":"x"},{"name":"y","value":"1"}],"args":["p"]}""", "b.c")]
    [InlineData("""{"b":{"c":1},"d":false,"env":[{"name":"x","value":"no"},{"name":"y","value":"1"}],"args":["p"]}""", "env[x].value")]
    [InlineData("""{"b":{"c":1},"d":false,"env":[{"name":"x"}],"args":["p"]}""", "env[y]")]
    [InlineData("""{"b":{"c":1},"d":false,"env":[{"name":"x"},{"name":"y","value":"1"}],"args":["p","q"]}""", "args")]
    public void What_the_server_made_of_a_plan_is_no_drift_and_anything_else_is(string live, string? drift)
    {
        var planned = Parse(Planned);
        var shape = ServerShape.Of("this", planned, Parse("""{"b":{"c":1},"d":false,"env":[{"name":"x"},{"name":"y","value":"1"}],"args":["p"]}"""));
        Assert.Equal(["a", "b.c", "env[x].value"], shape.Paths);
        Assert.Equal(drift, Drift.Find(planned, Parse(live), (path, _, there) => shape.Has("this", path, there)));
        // Of another plan nothing is known.
        if (live != Planned)
            Assert.NotNull(Drift.Find(planned, Parse(live), (path, _, there) => shape.Has("other", path, there)));
    }

    [Fact]
    public void A_plan_that_the_server_takes_whole_leaves_nothing_to_remember() =>
        Assert.True(ServerShape.Of("this", Parse(Planned), Parse(Planned)).IsPlan);

    private static JsonObject Parse(string json) => (JsonObject)JsonNode.Parse(json)!;
}
