using System.Text.Json.Nodes;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

/// <summary>Who owns what of a child before it is applied for the first time.</summary>
public sealed class FieldOwnershipTests
{
    private const string Update = """{"manager":"m","operation":"Update","apiVersion":"apps/v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{},"f:paused":{}}}}""";
    private const string Apply = """{"manager":"m","operation":"Apply","apiVersion":"apps/v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:replicas":{}}}}""";
    private const string Other = """{"manager":"kubectl-edit","operation":"Update","apiVersion":"apps/v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:paused":{}}}}""";
    private const string Status = """{"manager":"m","operation":"Update","apiVersion":"apps/v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:status":{}},"subresource":"status"}""";

    [Fact]
    public void Fields_of_the_updater_become_the_appliers()
    {
        var expected = Update.Replace("\"Update\"", "\"Apply\"", StringComparison.Ordinal);
        Assert.Equal($"[{Other},{Status},{expected}]", FieldOwnership.AsApplier(List(Other, Update, Status), "m")!.ToJsonString());
    }

    [Fact]
    public void Fields_of_both_are_united()
    {
        var united = Assert.Single(FieldOwnership.AsApplier(List(Update, Apply), "m")!)!;
        Assert.Equal("Apply", (string?)united["operation"]);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse("""{"f:spec":{"f:replicas":{},"f:paused":{}},"f:metadata":{"f:labels":{"f:a":{}}}}"""), united["fieldsV1"]));
    }

    [Fact]
    public void Versions_of_the_API_stay_apart()
    {
        var older = Update.Replace("apps/v1", "apps/v1beta1", StringComparison.Ordinal);
        Assert.Equal(["apps/v1beta1", "apps/v1"], FieldOwnership.AsApplier(List(older, Apply), "m")!.Select(entry => (string?)entry!["apiVersion"]));
    }

    [Fact]
    public void Nothing_is_to_be_done_for_an_applier_or_for_others()
    {
        Assert.Null(FieldOwnership.AsApplier(List(Apply, Other, Status), "m"));
        Assert.Null(FieldOwnership.AsApplier([], "m"));
    }

    private static JsonArray List(params string[] entries) => [.. entries.Select(entry => JsonNode.Parse(entry))];
}
