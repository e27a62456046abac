using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests.Validation;

public sealed class LoadResourcesTests : IDisposable
{
    private const string Policy = "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}\nspec: {}\n";

    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void Every_document_becomes_its_type_in_order()
    {
        var path = Write(Policy + "---\n# nothing\n---\napiVersion: moebius.dev/v1alpha1\nkind: MoEDeployment\nmetadata: {name: d}\nspec: {model: {source: {hostPath: {path: /m}}}}\n");
        var resources = ManifestValidator.LoadResources(path);
        Assert.Equal("p", Assert.IsType<KVPrivacyPolicy>(resources[0]).Metadata.Name);
        Assert.Equal("/m", Assert.IsType<MoEDeployment>(resources[1]).Spec.Model.Source.HostPath?.Path);
        Assert.Equal(2, resources.Count);
    }

    [Fact]
    public void A_field_without_a_value_takes_its_default()
    {
        var policy = Assert.IsType<KVPrivacyPolicy>(Assert.Single(ManifestValidator.LoadResources(Write(Policy.Replace("spec: {}", "spec: {monitor: null, retention: {publicIdle: ~}}", StringComparison.Ordinal)))));
        Assert.Equal("60s", policy.Spec.Monitor.Window);
        Assert.Equal("24h", policy.Spec.Retention.PublicIdle);
    }

    [Theory]
    [InlineData("spec: {mod: 1}", "spec.mod: unknown field: did you mean mode?")]
    [InlineData("spec: {a: 1, b: 1, c: 1, d: 1, e: 1}", "(and 2 more)")]
    public void Errors_are_one_line_that_names_file_and_field(string spec, string expected)
    {
        var path = Write(Policy.Replace("spec: {}", spec, StringComparison.Ordinal));
        var message = Assert.Throws<UserInputException>(() => ManifestValidator.LoadResources(path)).Message;
        Assert.StartsWith(path + ": spec.", message, StringComparison.Ordinal);
        Assert.Contains(expected, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void The_document_is_numbered_when_there_are_several()
    {
        var path = Write(Policy + "---\n" + Policy.Replace("moebius.dev/v1alpha1", "v1", StringComparison.Ordinal));
        Assert.Equal($"{path}: document 2: apiVersion: 'v1': write moebius.dev/v1alpha1", Assert.Throws<UserInputException>(() => ManifestValidator.LoadResources(path)).Message);
    }

    [Fact]
    public void An_empty_and_a_missing_file_are_refused()
    {
        var empty = Write("# nothing\n");
        Assert.Contains("no document", Assert.Throws<UserInputException>(() => ManifestValidator.LoadResources(empty)).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be read", Assert.Throws<UserInputException>(() => ManifestValidator.LoadResources(empty + "x")).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private string Write(string yaml)
    {
        var path = _folder.File("f.yaml");
        File.WriteAllText(path, yaml);
        return path;
    }
}
