using k8s.Models;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;
using Moebius.Operator.Webhook;

namespace Moebius.Operator.Tests.Runtime;

public sealed class RbacGeneratorTests
{
    [Theory]
    [InlineData("rbac")]
    [InlineData("webhook")]
    public void The_checked_in_manifests_are_what_the_attributes_say(string verb)
    {
        var file = RepositoryFiles.At($"operator/manifests/{verb}.yaml");
        var generated = verb == "rbac" ? RbacGenerator.Yaml(OperatorSettings.DefaultNamespace) : WebhookManifests.Yaml(OperatorSettings.DefaultNamespace);
        Assert.True(File.Exists(file) && File.ReadAllText(file) == generated, $"{file} is out of date: run `moebius operator {verb} -o {file}`");
    }

    [Fact]
    public void Secrets_are_touched_for_the_webhook_only_and_only_its_own()
    {
        var main = RbacGenerator.Yaml(OperatorSettings.DefaultNamespace);
        Assert.DoesNotContain("secrets", main, StringComparison.Ordinal);
        var rules = WebhookManifests.Objects(OperatorSettings.DefaultNamespace).OfType<V1Role>().Single().Rules;
        Assert.Equal(["create"], Assert.Single(rules, rule => rule.ResourceNames is null).Verbs);
        Assert.Equal([CertificateKeeper.SecretName], Assert.Single(rules, rule => rule.ResourceNames is not null).ResourceNames);
    }
}
