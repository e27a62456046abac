using k8s.Models;

namespace Moebius.Charts.Tests;

/// <summary>The chart grants what the operator's code asks for, and where it works in one namespace only there.</summary>
public sealed class RightsTests
{
    private static readonly Rendered Generated = Rendered.Parse(File.ReadAllText(RepositoryFiles.At("operator/manifests/rbac.yaml")));

    [Fact]
    public async Task Cluster_mode_grants_exactly_the_generated_rights()
    {
        var rendered = await Rendered.ChartAsync();

        Assert.Equal(Grants(Generated.One<V1ClusterRole>().Rules), Grants(rendered.One<V1ClusterRole>("moebius-operator").Rules));
        var own = rendered.One<V1Role>("moebius-operator-own-namespace");
        Assert.Equal(Grants(Generated.One<V1Role>().Rules), Grants(own.Rules));
        Assert.Equal("moebius-node-agents", own.Metadata.NamespaceProperty);
    }

    [Fact]
    public async Task DaemonSets_are_made_in_the_namespace_of_the_node_agents_alone()
    {
        var all = Grants(Generated.One<V1ClusterRole>().Rules).Where(grant => grant.Contains("/daemonsets", StringComparison.Ordinal));
        Assert.Equal(["apps/daemonsets delete", "apps/daemonsets get", "apps/daemonsets list", "apps/daemonsets watch"], all);
        foreach (var leaders in new[] { "true", "false" })
        {
            var own = Grants((await Rendered.ChartAsync("--set", $"leaderElection.enabled={leaders},replicas=1")).One<V1Role>("moebius-operator-own-namespace").Rules);
            Assert.Superset(new HashSet<string> { "apps/daemonsets create", "apps/daemonsets patch" }, own.ToHashSet());
            Assert.Equal(leaders == "true", own.Any(grant => grant.Contains("/leases", StringComparison.Ordinal)));
        }

        var alone = await Rendered.ChartAsync("--set", "watchNamespace=shop");
        Assert.DoesNotContain(alone.All<V1Role>().SelectMany(role => Grants(role.Rules)).Concat(alone.All<V1ClusterRole>().SelectMany(role => Grants(role.Rules ?? []))), grant => grant.Contains("/daemonsets", StringComparison.Ordinal));
        Assert.DoesNotContain((await Rendered.ChartAsync("--set", "watchNamespace=shop,leaderElection.enabled=false,replicas=1")).All<V1Role>(), role => role.Metadata.Name.EndsWith("-own-namespace", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Namespaced_mode_grants_the_same_in_its_namespace_and_reading_profiles_beside_it()
    {
        var rendered = await Rendered.ChartAsync("--set", "watchNamespace=shop");

        var all = Grants(Generated.One<V1ClusterRole>().Rules);
        var profiles = all.Where(grant => grant.Contains("/memoryschedulingprofiles", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(profiles);
        var inside = rendered.One<V1Role>("moebius-operator");
        Assert.Equal("shop", inside.Metadata.NamespaceProperty);
        Assert.Equal(all.Except(profiles).Where(grant => !grant.Contains("/daemonsets", StringComparison.Ordinal)).Order(StringComparer.Ordinal), Grants(inside.Rules));
        var group = "moebius.dev/memoryschedulingprofiles";
        Assert.Equal([$"{group} get", $"{group} list", $"{group} watch"], Grants(rendered.One<V1ClusterRole>("moebius-operator-shop").Rules));
    }

    [Fact]
    public async Task The_webhook_has_exactly_the_rights_that_are_generated_for_it()
    {
        var generated = Rendered.Parse(File.ReadAllText(RepositoryFiles.At("operator/manifests/webhook.yaml")));
        var rendered = await Rendered.ChartAsync("--set", "webhook.enabled=true");

        Assert.Equal(Grants(generated.One<V1ClusterRole>().Rules), Grants(rendered.One<V1ClusterRole>("moebius-operator-webhook").Rules));
        var role = rendered.One<V1Role>("moebius-operator-webhook");
        Assert.Equal(Grants(generated.One<V1Role>().Rules), Grants(role.Rules));
        Assert.Equal(["moebius-operator-webhook"], role.Rules.Where(rule => rule.ResourceNames is not null).SelectMany(rule => rule.ResourceNames));
        Assert.Equal(
            [rendered.One<V1ValidatingWebhookConfiguration>().Metadata.Name],
            rendered.One<V1ClusterRole>("moebius-operator-webhook").Rules.SelectMany(rule => rule.ResourceNames));
    }

    [Theory]
    [InlineData("")]
    [InlineData("shop")]
    public async Task Every_binding_binds_a_role_that_exists_to_the_operators_account(string watch)
    {
        var rendered = await Rendered.ChartAsync("--set", $"watchNamespace={watch},serviceAccount.name=sa");

        var roles = rendered.All<V1Role>().Where(role => !IsForAgents(role.Metadata)).Select(role => $"{role.Metadata.NamespaceProperty}/{role.Metadata.Name}").ToList();
        var bindings = rendered.All<V1RoleBinding>().Where(binding => !IsForAgents(binding.Metadata)).ToList();
        Assert.Equal(roles.Order(StringComparer.Ordinal), bindings.Select(binding => $"{binding.Metadata.NamespaceProperty}/{binding.RoleRef.Name}").Order(StringComparer.Ordinal));
        var cluster = rendered.One<V1ClusterRoleBinding>(watch.Length == 0 ? "moebius-operator" : $"moebius-operator-{watch}");
        Assert.Contains(rendered.All<V1ClusterRole>(), role => role.Metadata.Name == cluster.RoleRef.Name);
        Assert.All(bindings.SelectMany(binding => binding.Subjects).Concat(cluster.Subjects), subject =>
            Assert.Equal(("ServiceAccount", "sa", "moebius-system"), (subject.Kind, subject.Name, subject.NamespaceProperty)));
    }

    [Fact]
    public async Task Node_agents_may_list_pods_and_namespaces_and_write_events_about_nodes_and_nothing_else()
    {
        var rendered = await Rendered.ChartAsync("--set", "nodeAgents.namespace=agents");

        Assert.Equal(
            ["/namespaces list", "/pods list"],
            Grants(rendered.One<V1ClusterRole>("moebius-operator-node-agent").Rules));
        var binding = rendered.One<V1ClusterRoleBinding>("moebius-operator-node-agent");
        Assert.Equal("moebius-operator-node-agent", binding.RoleRef.Name);
        Assert.Equal(("Group", "system:serviceaccounts:agents"), (binding.Subjects.Single().Kind, binding.Subjects.Single().Name));
        var events = rendered.One<V1Role>("moebius-operator-node-agent");
        Assert.Equal(("default", "/events create"), (events.Metadata.NamespaceProperty, Assert.Single(Grants(events.Rules))));
        var told = rendered.One<V1RoleBinding>("moebius-operator-node-agent");
        Assert.Equal(("default", "moebius-operator-node-agent"), (told.Metadata.NamespaceProperty, told.RoleRef.Name));
        Assert.Equal(("Group", "system:serviceaccounts:agents"), (told.Subjects.Single().Kind, told.Subjects.Single().Name));
        var alone = await Rendered.ChartAsync("--set", "watchNamespace=shop");
        Assert.DoesNotContain(alone.All<V1ClusterRole>(), role => IsForAgents(role.Metadata));
        Assert.DoesNotContain(alone.All<V1Role>(), role => IsForAgents(role.Metadata));
    }

    [Fact]
    public async Task View_and_edit_cover_every_namespaced_resource()
    {
        var rendered = await Rendered.ChartAsync();
        var namespaced = Directory.GetFiles(RepositoryFiles.At("crds/manifests"))
            .Select(file => Rendered.Parse(File.ReadAllText(file)).Objects[0]["spec"]!)
            .Where(spec => (string?)spec["scope"] == "Namespaced")
            .Select(spec => (string)spec["names"]!["plural"]!)
            .Order(StringComparer.Ordinal)
            .ToList();

        Assert.NotEmpty(namespaced);
        Assert.Equal(namespaced, rendered.One<V1ClusterRole>("moebius-operator-edit").Rules[0].Resources);
        Assert.Equal(
            namespaced.SelectMany(plural => new[] { plural, plural + "/status" }),
            rendered.One<V1ClusterRole>("moebius-operator-view").Rules[0].Resources);
    }

    [Fact]
    public void Generated_rights_reach_no_secret_and_no_role()
    {
        // Whoever may write roles or read secrets may do anything.
        var grants = Grants([.. Generated.One<V1ClusterRole>().Rules, .. Generated.One<V1Role>().Rules]);

        Assert.DoesNotContain(grants, grant => grant.Contains('*') || grant.Contains("secrets", StringComparison.Ordinal) || grant.StartsWith("rbac.", StringComparison.Ordinal));
    }

    private static bool IsForAgents(V1ObjectMeta metadata) => metadata.Name.EndsWith("node-agent", StringComparison.Ordinal);

    private static IReadOnlyList<string> Grants(IEnumerable<V1PolicyRule> rules) =>
    [
        .. rules
            .SelectMany(rule => rule.ApiGroups.SelectMany(group => rule.Resources.SelectMany(resource => rule.Verbs.Select(verb => $"{group}/{resource} {verb}"))))
            .Order(StringComparer.Ordinal),
    ];
}
