using Moebius.Crds.Privacy;

namespace Moebius.Crds.Tests.Privacy;

public sealed class PolicyManifestTests
{
    private const string Head = "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}\n";

    [Fact]
    public void A_policy_is_read_with_its_generation()
    {
        var policy = PolicyManifest.Parse("apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p, generation: 4}\nspec: {publicPrefixes: [{name: a, text: x}]}\n", "p.yaml");
        Assert.Equal((4L, "x"), (policy.Metadata.Generation, Assert.Single(policy.Spec.PublicPrefixes!).Text));
    }

    [Theory]
    [InlineData("", "0 YAML documents, expected exactly one KVPrivacyPolicy")]
    [InlineData($"{Head}spec: {{}}\n---\n{Head}spec: {{}}\n", "2 YAML documents, expected exactly one KVPrivacyPolicy")]
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
