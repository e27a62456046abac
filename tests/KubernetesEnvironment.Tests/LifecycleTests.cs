using System.Diagnostics;
using k8s;
using k8s.Models;

namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>What needs a server of its own: restart, end, other options.</summary>
[Trait("Category", "Cluster")]
public sealed class LifecycleTests
{
    [Fact]
    public async Task Restarted_apiserver_serves_the_same_objects_at_the_same_address()
    {
        await using var server = await KubernetesTestServer.StartAsync();
        await server.InstallCrdsAsync(TestData.Path("crds/widgets.example.moebius.dev.yaml"));
        (await server.KubectlAsync(["create", "-f", "-"], Widget)).EnsureSuccess();
        var address = server.ApiServer;

        await server.StopApiServerAsync();
        Assert.NotEqual(0, (await server.KubectlAsync("get", "namespaces")).ExitCode);
        await server.StartApiServerAsync();

        Assert.Equal(address, server.ApiServer);
        Assert.Equal("widget.example.moebius.dev/kept", (await server.KubectlAsync("get", "widgets", "-o", "name")).EnsureSuccess().StandardOutput.Trim());
    }

    [Fact]
    public async Task Disposal_leaves_no_process_and_no_file()
    {
        var server = await KubernetesTestServer.StartAsync();
        var processes = server.ProcessIds;
        var folder = Path.GetDirectoryName(server.AdminKubeconfigPath)!;
        Assert.True(processes.Count >= 2);
        Assert.All(processes, id => Assert.True(Directory.Exists($"/proc/{id}")));

        await server.DisposeAsync();

        Assert.All(processes, id => Assert.False(Directory.Exists($"/proc/{id}")));
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public async Task Killed_test_process_leaves_no_server_behind()
    {
        await KubernetesAssets.FindAsync(); // skips when there is nothing to start
        using var tests = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["-method", $"*.{nameof(Disposal_leaves_no_process_and_no_file)}"])
        {
            RedirectStandardOutput = true,
            Environment = { ["TMPDIR"] = Directory.CreateTempSubdirectory().FullName },
        })!;
        var folder = $"moebius-kubernetes-{tests.Id}-";
        await Eventually.TrueAsync(() =>
        {
            Assert.False(tests.HasExited, "the test process ended before its servers were seen");
            return Task.FromResult(CommandLines(folder).Count() >= 2);
        });

        tests.Kill(); // SIGKILL: no handler of the process runs
        await tests.WaitForExitAsync();

        await Eventually.TrueAsync(() => !CommandLines(folder).Any());
        Directory.Delete(tests.StartInfo.Environment["TMPDIR"]!, recursive: true);
    }

    [Fact]
    public async Task Controller_manager_collects_the_children_of_a_deleted_custom_resource()
    {
        var assets = await KubernetesAssets.FindAsync();
        Assert.SkipUnless(assets.HasControllerManager, $"{assets.Folder} has no kube-controller-manager");
        await using var server = await KubernetesTestServer.StartAsync(new() { ControllerManager = true });
        await server.InstallCrdsAsync(TestData.Path("crds/widgets.example.moebius.dev.yaml"));
        (await server.KubectlAsync(["create", "-f", "-"], Widget)).EnsureSuccess();
        var uid = (await server.KubectlAsync("get", "widget", "kept", "-o", "jsonpath={.metadata.uid}")).EnsureSuccess().StandardOutput;
        using var client = server.CreateClient();
        var owner = new V1OwnerReference { ApiVersion = "example.moebius.dev/v1alpha1", Kind = "Widget", Name = "kept", Uid = uid };
        await client.CoreV1.CreateNamespacedConfigMapAsync(new V1ConfigMap { Metadata = new() { Name = "child", OwnerReferences = [owner] } }, "default");

        (await server.KubectlAsync("delete", "widget", "kept")).EnsureSuccess();

        (await server.KubectlAsync("wait", "--for=delete", "configmap/child", "--timeout=5m")).EnsureSuccess();
    }

    [Fact]
    public async Task Core_alone_serves_custom_resources_and_explains_them()
    {
        await using var server = await KubernetesTestServer.StartAsync(new() { CustomResourcesFromCore = true });
        await server.InstallCrdsAsync(TestData.Path("crds"));

        // The description of a new CRD reaches the published schema a moment after its resources answer.
        await Eventually.TrueAsync(async () =>
            (await server.KubectlAsync("explain", "widgets.spec", "--recursive")).StandardOutput.Contains("What the widget should be.", StringComparison.Ordinal));

        Assert.False(server.CustomResourcesServedApart);
    }

    /// <summary>The command lines of living processes that mention a text.</summary>
    private static IEnumerable<string> CommandLines(string text)
    {
        foreach (var process in Directory.GetDirectories("/proc").Where(p => char.IsAsciiDigit(Path.GetFileName(p)[0])))
        {
            string line;
            try
            {
                line = File.ReadAllText(Path.Combine(process, "cmdline"));
            }
            catch (IOException)
            {
                continue; // it ended meanwhile
            }

            if (line.Contains(text, StringComparison.Ordinal))
                yield return line;
        }
    }

    private const string Widget = "{apiVersion: example.moebius.dev/v1alpha1, kind: Widget, metadata: {name: kept, namespace: default}, spec: {minimum: 1}}";
}
