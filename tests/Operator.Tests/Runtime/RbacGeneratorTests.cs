using k8s.Models;
using Moebius.Crds;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;
using Moebius.Operator.Webhook;

namespace Moebius.Operator.Tests.Runtime;

public sealed class RbacGeneratorTests
{
    [Theory]
    [InlineData("rbac")]
    [InlineData("node-agents")]
    [InlineData("webhook")]
    public void The_checked_in_manifests_are_what_the_attributes_say(string verb)
    {
        var file = RepositoryFiles.At($"operator/manifests/{verb}.yaml");
        var generated = verb switch
        {
            "rbac" => RbacGenerator.Yaml(OperatorSettings.DefaultNamespace),
            "node-agents" => NodeAgentRights.Yaml(OperatorSettings.DefaultNamespace),
            _ => WebhookManifests.Yaml(OperatorSettings.DefaultNamespace),
        };
        Assert.True(File.Exists(file) && File.ReadAllText(file) == generated, $"{file} is out of date: run `moebius operator {verb} -o {file}`");
    }

    [Fact]
    public void Node_agents_have_the_rights_that_the_chart_gives_them()
    {
        const string Name = "moebius-operator-node-agent";
        var chart = Manifests.ParseDocuments(File.ReadAllText(RepositoryFiles.At("config/operator/operator.yaml")), "chart").Where(one => (string?)one["metadata"]!["name"] == Name && one.ContainsKey("rules")).ToList();
        var own = Manifests.ParseDocuments(NodeAgentRights.Yaml("any"), "own").Where(one => one.ContainsKey("rules")).ToList();
        Assert.Equal(["ClusterRole ", "Role default"], own.Select(one => $"{one["kind"]} {one["metadata"]!["namespace"]}"));
        Assert.Equal(chart.Select(one => $"{one["kind"]} {one["metadata"]!["namespace"]} {one["rules"]!.ToJsonString()}"), own.Select(one => $"{one["kind"]} {one["metadata"]!["namespace"]} {one["rules"]!.ToJsonString()}"));
        Assert.All(NodeAgentRights.Objects("any").OfType<V1ClusterRoleBinding>(), binding => Assert.Equal("system:serviceaccounts:any", Assert.Single(binding.Subjects).Name));
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
