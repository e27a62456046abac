using Moebius.Crds.Privacy;

namespace Moebius.Crds.Tests.Privacy;

public sealed class PolicyManifestTests
{
    private const string Head = "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}\n";

    private const string Secret = "{apiVersion: v1, kind: Secret, metadata: {name: s}}\n";

    [Fact]
    public void A_policy_is_read_with_its_generation()
    {
        var policy = PolicyManifest.Parse("apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p, generation: 4}\nspec: {publicPrefixes: [{name: a, text: x}]}\n", "p.yaml");
        Assert.Equal((4L, "x"), (policy.Metadata.Generation, Assert.Single(policy.Spec.PublicPrefixes!).Text));
    }

    [Fact]
    public void The_policy_among_other_resources_is_read()
    {
        var policy = PolicyManifest.Parse($"{Secret}---\napiVersion: moebius.dev/v1alpha1\nkind: MoEDeployment\n---\n{Head}spec: {{mode: Isolate}}\n", "p.yaml");
        Assert.Equal(("p", V1Alpha1.SharingMode.Isolate), (policy.Metadata.Name, policy.Spec.Mode));
        Assert.Equal("quickstart", PolicyManifest.Parse(File.ReadAllText(RepositoryFiles.At("samples/quickstart.yaml")), "quickstart.yaml").Metadata.Name);
    }

    [Theory]
    [InlineData("", "0 YAML documents, expected exactly one KVPrivacyPolicy")]
    [InlineData($"{Head}spec: {{}}\n---\n{Head}spec: {{}}\n", "2 of 2 documents are a KVPrivacyPolicy, expected exactly one")]
    [InlineData($"{Secret}---\n{Secret}", "0 of 2 documents are a KVPrivacyPolicy, expected exactly one")]
    [InlineData($"{Head}spec: {{}}\n---\na: 1\n", "document 2: apiVersion: required field is missing")]
    [InlineData($"{Head}spec: {{}}\n---\n{{apiVersion: v1}}\n", "document 2: kind: required field is missing")]
    [InlineData($"{Head}spec: {{}}\n---\n{{apiVersion: moebius.dev/v1alpha2, kind: KVPrivacyPolicy}}\n", "document 2: apiVersion: 'moebius.dev/v1alpha2': write moebius.dev/v1alpha1")]
    [InlineData($"{Head}spec: {{}}\n---\n{{apiVersion: mobius.dev/v1alpha1, kind: KVPrivacyPolicy}}\n", "document 2: apiVersion: 'mobius.dev/v1alpha1' has no KVPrivacyPolicy: did you mean moebius.dev/v1alpha1?")]
    [InlineData($"{Head}spec: {{}}\n---\n{{apiVersion: moebius.dev/v1alpha1, kind: KVPrivacyPolcy}}\n", "document 2: kind: 'KVPrivacyPolcy' is not a kind of moebius.dev/v1alpha1: did you mean KVPrivacyPolicy?")]
    [InlineData("kind: KVPrivacyPolicy\nspec: {}", "apiVersion: missing, must be moebius.dev/v1alpha1")]
    [InlineData("apiVersion: moebius.dev/v1alpha1\nkind: MoEDeployment\n", "kind: 'MoEDeployment', must be KVPrivacyPolicy")]
    [InlineData("apiVersion: moebius.dev/v1alpha1\nkind: [KVPrivacyPolicy]\n", "kind: a list, must be KVPrivacyPolicy")]
    [InlineData(Head, "required field missing: 'spec'")]
    [InlineData($"{Head}spec:\n", "spec: required field missing")]
    [InlineData($"{Head}spec: {{identity: {{tenantHeader: ''}}}}", "spec.identity.tenantHeader: ")]
    [InlineData($"{Head}spec: {{colour: red}}", "spec.colour: unknown field")]
    [InlineData($"{Head}spec: {{publicPrefixes: [{{name: a, text: x}}, {{name: b, configMapRef: {{name: c, key: k}}}}]}}", "spec.publicPrefixes[1].configMapRef: a ConfigMap can only be read in the cluster")]
    public void What_is_no_policy_or_cannot_be_honoured_is_refused(string yaml, string says)
    {
        var message = Assert.Throws<UserInputException>(() => PolicyManifest.Parse(yaml, "p.yaml")).Message;
        Assert.StartsWith("p.yaml: ", message, StringComparison.Ordinal);
        Assert.Contains(says, message, StringComparison.Ordinal);
    }
}
