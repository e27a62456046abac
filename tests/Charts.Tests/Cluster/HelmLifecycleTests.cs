using System.Text.Json.Nodes;

namespace Moebius.Charts.Tests.Cluster;

/// <summary>Install, upgrade, rollback and uninstall with a real Helm on a real API server.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class HelmLifecycleTests(ChartCluster cluster) : IAsyncLifetime
{
    private const string Model = """
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: austen, namespace: default}
        spec:
          model: {source: {hostPath: {path: /models/austen}}}
          experts: {fastMemory: 6Mi}
        """;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await cluster.ClearAsync();

    [Fact]
    public async Task Operator_is_installed_upgraded_rolled_back_and_uninstalled()
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        var installed = (await cluster.InstallOperatorAsync()).EnsureSuccess().StandardOutput;
        Assert.Contains("STATUS: deployed", installed, StringComparison.Ordinal);
        Assert.Equal(2, await ReplicasAsync());
        Assert.NotNull(await cluster.GetAsync("namespace", "moebius-node-agents"));
        Assert.NotNull(await cluster.GetAsync("poddisruptionbudget", "moebius-operator", ChartCluster.OperatorNamespace));

        (await cluster.InstallOperatorAsync("--set", "replicas=3,podDisruptionBudget.enabled=false,dashboards.enabled=true")).EnsureSuccess();
        Assert.Equal(3, await ReplicasAsync());
        Assert.Null(await cluster.GetAsync("poddisruptionbudget", "moebius-operator", ChartCluster.OperatorNamespace));
        Assert.NotNull(await cluster.GetAsync("configmap", "moebius-operator-dashboard-inference", ChartCluster.OperatorNamespace));

        (await cluster.HelmAsync("rollback", "moebius", "1", "-n", ChartCluster.OperatorNamespace)).EnsureSuccess();
        Assert.Equal(2, await ReplicasAsync());
        Assert.NotNull(await cluster.GetAsync("poddisruptionbudget", "moebius-operator", ChartCluster.OperatorNamespace));
        Assert.Null(await cluster.GetAsync("configmap", "moebius-operator-dashboard-inference", ChartCluster.OperatorNamespace));

        (await cluster.HelmAsync("uninstall", "moebius", "-n", ChartCluster.OperatorNamespace)).EnsureSuccess();
        Assert.Null(await cluster.GetAsync("deployment", "moebius-operator", ChartCluster.OperatorNamespace));
        Assert.Null(await cluster.GetAsync("clusterrole", "moebius-operator"));
    }

    [Fact]
    public async Task Custom_resources_survive_both_uninstalls_and_are_taken_over_again()
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.InstallOperatorAsync()).EnsureSuccess();
        await cluster.ApplyAsync(Model);
        var uid = await UidAsync();

        (await cluster.HelmAsync("uninstall", "moebius", "-n", ChartCluster.OperatorNamespace)).EnsureSuccess();
        Assert.Equal(uid, await UidAsync());
        // The agents of profiles go on, so their namespace stays, too.
        Assert.NotNull(await cluster.GetAsync("namespace", "moebius-node-agents"));

        var kept = (await cluster.HelmAsync("uninstall", "moebius-crds", "-n", ChartCluster.OperatorNamespace)).EnsureSuccess();
        Assert.Contains("moedeployments.moebius.dev", kept.StandardOutput + kept.StandardError, StringComparison.Ordinal);
        Assert.Equal(uid, await UidAsync());

        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.InstallOperatorAsync()).EnsureSuccess();
        Assert.Equal(uid, await UidAsync());
    }

    [Fact]
    public async Task Definitions_go_with_their_chart_only_when_told_to()
    {
        (await cluster.InstallDefinitionsAsync("--set", "keep=false")).EnsureSuccess();
        Assert.NotNull(await cluster.GetAsync("crd", "moedeployments.moebius.dev"));

        (await cluster.HelmAsync("uninstall", "moebius-crds", "-n", ChartCluster.OperatorNamespace, "--wait")).EnsureSuccess();

        Assert.Null(await cluster.GetAsync("crd", "moedeployments.moebius.dev"));
    }

    [Fact]
    public async Task Upgrade_brings_new_fields_to_definitions_rollback_takes_them_back_and_both_leave_resources_alone()
    {
        var old = Directory.CreateTempSubdirectory("moebius-crds");
        try
        {
            await CopyAsync(RepositoryFiles.At("charts/moebius-crds"), old.FullName);
            var file = Path.Combine(old.FullName, "files/moebius.dev_moedeployments.yaml");
            // An older release did not have the column.
            var text = await File.ReadAllTextAsync(file);
            var definition = Rendered.Parse(text).Objects[0];
            var version = definition["spec"]!["versions"]![0]!;
            var columns = version["additionalPrinterColumns"]!.AsArray();
            var count = columns.Count;
            columns.RemoveAt(0);
            await File.WriteAllTextAsync(file, definition.ToJsonString());
            (await cluster.InstallDefinitionsFromAsync(old.FullName)).EnsureSuccess();
            await cluster.ApplyAsync(Model);
            var uid = await UidAsync();
            Assert.Equal(count - 1, await ColumnsAsync());

            (await cluster.InstallDefinitionsAsync()).EnsureSuccess();

            Assert.Equal(count, await ColumnsAsync());
            Assert.Equal(uid, await UidAsync());

            (await cluster.HelmAsync("rollback", "moebius-crds", "1", "-n", ChartCluster.OperatorNamespace)).EnsureSuccess();
            Assert.Equal(count - 1, await ColumnsAsync());
            Assert.Equal(uid, await UidAsync());
        }
        finally
        {
            old.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task Upgrade_with_the_same_values_changes_nothing()
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        string[] values = ["--set", "dashboards.enabled=true"];
        (await cluster.InstallOperatorAsync(values)).EnsureSuccess();
        var before = await VersionsAsync();

        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.InstallOperatorAsync(values)).EnsureSuccess();

        Assert.True(before.Count > 15, $"only {before.Count} objects");
        Assert.Equal(before, await VersionsAsync());
    }

    [Fact]
    public async Task Value_that_the_schema_refuses_reaches_no_cluster()
    {
        var refused = await cluster.InstallOperatorAsync("--set", "replica=3");

        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("'replica' not allowed", refused.StandardError, StringComparison.Ordinal);
        Assert.Null(await cluster.GetAsync("clusterrole", "moebius-operator"));
    }

    [Fact]
    public async Task Editors_may_edit_models_and_viewers_may_look()
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.InstallOperatorAsync()).EnsureSuccess();
        (await cluster.KubectlAsync("create", "namespace", "shop")).EnsureSuccess();
        // A controller, which does not run here, adds these roles to the cluster's own, by the labels that they have.
        Assert.Equal("true", await AggregatedAsync("moebius-operator-edit", "edit"));
        Assert.Equal("true", await AggregatedAsync("moebius-operator-view", "view"));
        (await cluster.KubectlAsync("create", "rolebinding", "ann", "-n", "shop", "--clusterrole=moebius-operator-edit", "--user=ann")).EnsureSuccess();
        (await cluster.KubectlAsync("create", "rolebinding", "bob", "-n", "shop", "--clusterrole=moebius-operator-view", "--user=bob")).EnsureSuccess();

        await Eventually.TrueAsync(() => MayAsync("ann", "create", "moedeployments"));
        await Eventually.TrueAsync(() => MayAsync("bob", "list", "moedeployments"));
        Assert.True(await MayAsync("ann", "patch", "moedeployments", "--subresource=scale"));
        Assert.True(await MayAsync("bob", "list", "promptoptimizers"));
        Assert.False(await MayAsync("bob", "create", "moedeployments"));
        Assert.False(await MayAsync("ann", "create", "memoryschedulingprofiles"));
    }

    private async Task<bool> MayAsync(string user, string verb, string resource, params string[] more) =>
        (await cluster.KubectlAsync(["auth", "can-i", verb, $"{resource}.moebius.dev", "-n", "shop", "--as", user, .. more])).StandardOutput.StartsWith("yes", StringComparison.Ordinal);

    private async Task<string?> AggregatedAsync(string role, string to) =>
        (string?)(await cluster.GetAsync("clusterrole", role))!["metadata"]!["labels"]![$"rbac.authorization.k8s.io/aggregate-to-{to}"];

    private async Task<int> ReplicasAsync() => (int)(await cluster.GetAsync("deployment", "moebius-operator", ChartCluster.OperatorNamespace))!["spec"]!["replicas"]!;

    private async Task<string> UidAsync() => (string)(await cluster.GetAsync("moedeployment", "austen", "default"))!["metadata"]!["uid"]!;

    private async Task<int> ColumnsAsync() =>
        (await cluster.GetAsync("crd", "moedeployments.moebius.dev"))!["spec"]!["versions"]![0]!["additionalPrinterColumns"]!.AsArray().Count;

    private async Task<IReadOnlyList<string>> VersionsAsync()
    {
        var all = await cluster.KubectlAsync(
            "get", "crd,namespace,serviceaccount,clusterrole,clusterrolebinding,role,rolebinding,service,deployment,networkpolicy,configmap,poddisruptionbudget",
            "-A", "-l", "app.kubernetes.io/part-of=moebius", "-o", "json");
        return [.. JsonNode.Parse(all.EnsureSuccess().StandardOutput)!["items"]!.AsArray().Select(one => $"{Rendered.Name(one!.AsObject())} {one["metadata"]!["resourceVersion"]}")];
    }

    private static async Task CopyAsync(string from, string to) => (await Tool.RunAsync("cp", ["-r", from + "/.", to])).EnsureSuccess();
}
