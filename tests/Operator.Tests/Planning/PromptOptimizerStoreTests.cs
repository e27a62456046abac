using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Tests.Planning;

/// <summary>A PromptOptimizer whose jobs are in a database.</summary>
public sealed class PromptOptimizerStoreTests
{
    [Fact]
    public void A_database_takes_the_place_of_the_volume_and_several_pods_may_share_it()
    {
        static Plan With(string more = "", string store = "") => PromptOptimizerPlanner.Plan(Samples.Optimizer($"languageModel: {{moeDeploymentRef: {{name: austen}}}}\n{more}\nstore: {{type: PostgreSQL, connectionSecretRef: {{name: db, key: uri}}{store}}}"), Samples.MoE(), OperatorSettings.Default, ServerCapabilities.Latest);
        var plan = With("replicas: 3\njobs: {retention: 24h, maxWaiting: 7}", ", caSecretRef: {name: db-ca, key: ca.crt}, address: 'DB.data.svc:6432'");
        Assert.Empty(plan.Problems);
        Assert.Empty(plan.Children.OfType<V1PersistentVolumeClaim>());
        var spec = plan.Child<V1Deployment>().Spec;
        Assert.Equal((3, "RollingUpdate", "1", "0"), (spec.Replicas, spec.Strategy.Type, spec.Strategy.RollingUpdate.MaxSurge.ToString(), spec.Strategy.RollingUpdate.MaxUnavailable.ToString()));
        Assert.Equal("config", Assert.Single(spec.Template.Spec.Volumes).Name);
        var container = Assert.Single(spec.Template.Spec.Containers);
        Assert.DoesNotContain(container.Args, argument => argument.StartsWith("--data", StringComparison.Ordinal));
        Assert.Equal("config", Assert.Single(container.VolumeMounts).Name);
        var secrets = container.Env.Where(one => one.ValueFrom is not null).ToDictionary(one => one.Name, one => $"{one.ValueFrom.SecretKeyRef.Name}/{one.ValueFrom.SecretKeyRef.Key}");
        Assert.Equal(new Dictionary<string, string> { ["MOEBIUS_STORE_CONNECTION"] = "db/uri", ["MOEBIUS_STORE_CA"] = "db-ca/ca.crt" }, secrets);
        var config = Manifests.Convert<PromptOptimizerConfig>(Manifests.ParseDocuments(plan.Child<V1ConfigMap>().Data["optimizer.yaml"], "c")[0], "c");
        Assert.Equal((JobStoreType.PostgreSQL, "24h", 7), (config.Store, config.Jobs.Retention, config.Jobs.MaxWaiting));
        // A Service's port is not that of its pods.
        Assert.Equal("data *", Way(plan));
        // Where the spec does not say where it is, its port is open everywhere.
        Assert.Equal("* 5432", Way(With()));
        Assert.Equal("10.0.0.5/32 5432", Way(With(store: ", address: '10.0.0.5:5432'")));

        static string Way(Plan plan)
        {
            var rule = plan.Child<V1NetworkPolicy>().Spec.Egress[^1];
            var where = rule.To is null ? "*" : Assert.Single(rule.To) is { IpBlock: { } block } ? block.Cidr : rule.To[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"];
            return $"{where} {(rule.Ports is null ? "*" : Assert.Single(rule.Ports).Port.ToString())}";
        }
    }
}
