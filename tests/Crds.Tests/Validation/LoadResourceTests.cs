using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests.Validation;

public sealed class LoadResourceTests
{
    private const string Policy = "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}\nspec: {}\n";

    [Fact]
    public void A_document_becomes_its_type()
    {
        Assert.Equal("p", Assert.IsType<KVPrivacyPolicy>(Load(Policy)).Metadata.Name);
        var deployment = Load("apiVersion: moebius.dev/v1alpha1\nkind: MoEDeployment\nmetadata: {name: d}\nspec: {model: {source: {hostPath: {path: /m}}}}\n");
        Assert.Equal("/m", Assert.IsType<MoEDeployment>(deployment).Spec.Model.Source.HostPath?.Path);
    }

    [Fact]
    public void A_field_without_a_value_takes_its_default()
    {
        var policy = Assert.IsType<KVPrivacyPolicy>(Load(Policy.Replace("spec: {}", "spec: {monitor: null, retention: {publicIdle: ~}}", StringComparison.Ordinal)));
        Assert.Equal("60s", policy.Spec.Monitor.Window);
        Assert.Equal("24h", policy.Spec.Retention.PublicIdle);
    }

    [Theory]
    [InlineData("spec: {mod: 1}", "spec.mod: unknown field: did you mean mode?")]
    [InlineData("spec: {a: 1, b: 1, c: 1, d: 1, e: 1}", "(and 2 more)")]
    public void Errors_are_one_line_that_names_file_and_field(string spec, string expected)
    {
        var message = Assert.Throws<UserInputException>(() => Load(Policy.Replace("spec: {}", spec, StringComparison.Ordinal))).Message;
        Assert.StartsWith("f.yaml: spec.", message, StringComparison.Ordinal);
        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    private static object Load(string yaml) => ManifestValidator.LoadResource(Assert.Single(Manifests.ParseDocuments(yaml, "f.yaml")), "f.yaml");
}
