using k8s;
using k8s.Autorest;
using k8s.Models;

namespace Moebius.KubernetesEnvironment.Tests;

[Trait("Category", "Cluster")]
public sealed class KubernetesTestServerTests(KubernetesTestServer server) : IClassFixture<KubernetesTestServer>
{
    private static readonly string WidgetCrd = TestData.Path("crds/widgets.example.moebius.dev.yaml");

    [Fact]
    public async Task Objects_are_created_and_read_back_through_client_and_kubectl()
    {
        using var client = server.CreateClient();
        await client.CoreV1.CreateNamespaceAsync(new V1Namespace { Metadata = new() { Name = "objects" } });
        await client.CoreV1.CreateNamespacedConfigMapAsync(
            new V1ConfigMap { Metadata = new() { Name = "settings" }, Data = new Dictionary<string, string> { ["key"] = "value" } },
            "objects");

        var printed = (await server.KubectlAsync("get", "configmap", "settings", "-n", "objects", "-o", "jsonpath={.data.key}")).EnsureSuccess();
        Assert.Equal("value", printed.StandardOutput);
        Assert.Equal("value", await server.ReadAsync("objects", "cm/settings", "{.data.key}"));
        Assert.Equal("", await server.ReadAsync("objects", "configmap/other", "{.data.key}"));
        Assert.Equal("", await server.ReadAsync("objects", "nonsense/settings", "{.data.key}"));
        Assert.Equal("settings", await server.ReadAsync("objects", "configmaps", "{.items[?(@.data.key=='value')].metadata.name}"));
    }

    [Fact]
    public async Task Cel_rule_of_a_crd_is_enforced_with_its_message()
    {
        await server.InstallCrdsAsync(WidgetCrd);

        var good = await CreateWidget("good", "{minimum: 1, maximum: 2}");
        var bad = await CreateWidget("bad", "{minimum: 3, maximum: 2}");

        Assert.Equal("widget.example.moebius.dev/good created", good.EnsureSuccess().StandardOutput.Trim());
        Assert.NotEqual(0, bad.ExitCode);
        Assert.Contains("minimum must not exceed maximum", bad.StandardError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unknown_field_of_a_custom_resource_is_refused_by_name()
    {
        await server.InstallCrdsAsync(WidgetCrd);

        var refused = await CreateWidget("typo", "{minimun: 1}");

        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("unknown field \"spec.minimun\"", refused.StandardError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unknown_field_of_a_crd_is_refused_at_installation()
    {
        var file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".yaml");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(WidgetCrd)).Replace("scope: Namespaced", "scope: Namespaced\n  scoop: 1", StringComparison.Ordinal));
        try
        {
            var error = await Assert.ThrowsAsync<InvalidOperationException>(() => server.InstallCrdsAsync(file));
            Assert.Contains("scoop", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task User_may_do_what_rbac_grants_and_nothing_else()
    {
        (await server.KubectlAsync("create", "namespace", "granted")).EnsureSuccess();
        (await server.KubectlAsync("create", "role", "reader", "-n", "granted", "--verb=get,list", "--resource=configmaps")).EnsureSuccess();
        (await server.KubectlAsync("create", "rolebinding", "readers", "-n", "granted", "--role=reader", "--group=readers")).EnsureSuccess();
        var reader = server.CreateKubeconfig("ann", "readers");

        var granted = await server.KubectlAsync(["get", "configmaps", "-n", "granted"], null, reader);
        var denied = await server.KubectlAsync(["get", "configmaps", "-n", "default"], null, reader);

        granted.EnsureSuccess();
        Assert.Contains("User \"ann\" cannot list resource \"configmaps\"", denied.StandardError, StringComparison.Ordinal);
        using var client = new Kubernetes(server.CreateConfiguration("bob"));
        var error = await Assert.ThrowsAsync<HttpOperationException>(() => client.CoreV1.ListNamespacedConfigMapAsync("granted"));
        Assert.Equal(System.Net.HttpStatusCode.Forbidden, error.Response.StatusCode);
    }

    [Fact]
    public async Task Audit_counts_the_writes_of_one_user_agent_since_a_mark()
    {
        (await server.KubectlAsync("create", "namespace", "audited")).EnsureSuccess();

        var mark = await server.Audit.MarkAsync();
        (await server.KubectlAsync("create", "configmap", "one", "-n", "audited")).EnsureSuccess();
        (await server.KubectlAsync("get", "configmap", "one", "-n", "audited")).EnsureSuccess();
        (await server.KubectlAsync("delete", "configmap", "one", "-n", "audited")).EnsureSuccess();
        var writes = (await server.Audit.WritesSinceAsync(mark, "kubectl/")).Where(e => e.Namespace == "audited").ToList();

        Assert.Equal(["create", "delete"], writes.Select(e => e.Verb));
        Assert.All(writes, e => Assert.Equal(("admin", "configmaps"), (e.User, e.Resource)));
        Assert.Empty(await server.Audit.WritesSinceAsync(mark, "some-other-client"));
        Assert.DoesNotContain(await server.Audit.WritesSinceAsync(await server.Audit.MarkAsync(), "kubectl/"), e => e.Namespace == "audited");
    }

    [Fact]
    public async Task Helm_installs_a_chart_and_lists_it()
    {
        var chart = TestData.Path("chart");

        (await server.HelmAsync(["install", "first", chart, "--set", "greeting=hello"])).EnsureSuccess();

        Assert.Equal("hello", (await server.KubectlAsync("get", "configmap", "first", "-o", "jsonpath={.data.greeting}")).EnsureSuccess().StandardOutput);
        Assert.Contains("first", (await server.HelmAsync(["list", "-q"])).EnsureSuccess().StandardOutput, StringComparison.Ordinal);
    }

    private async Task<CommandResult> CreateWidget(string name, string spec) =>
        await server.KubectlAsync(["create", "-f", "-"], $"{{apiVersion: example.moebius.dev/v1alpha1, kind: Widget, metadata: {{name: {name}, namespace: default}}, spec: {spec}}}");
}
