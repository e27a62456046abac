namespace Moebius.Charts.Tests.Cluster;

/// <summary>The kustomize base with kubectl: applied once, applying it again is no change.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class KubectlTests(ChartCluster cluster) : IAsyncLifetime
{
    private const string Kinds = "clusterrole,clusterrolebinding,role,rolebinding,serviceaccount,service,deployment,networkpolicy,poddisruptionbudget";

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await cluster.ClearAsync();
        (await cluster.KubectlAsync("delete", Kinds, "-A", "-l", "app.kubernetes.io/part-of=moebius")).EnsureSuccess();
        // Where a test made the namespace it stays; from now on it is the chart's.
        if (await cluster.GetAsync("namespace", "moebius-node-agents") is null)
            return;
        (await cluster.KubectlAsync("annotate", "namespace", "moebius-node-agents", "meta.helm.sh/release-name=moebius", "meta.helm.sh/release-namespace=" + ChartCluster.OperatorNamespace, "kubectl.kubernetes.io/last-applied-configuration-", "--overwrite")).EnsureSuccess();
        (await cluster.KubectlAsync("label", "namespace", "moebius-node-agents", "app.kubernetes.io/managed-by=Helm", "--overwrite")).EnsureSuccess();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Applied_base_has_no_difference(bool serverSide)
    {
        var manifest = await ManifestAsync();
        string[] how = serverSide ? ["--server-side"] : [];

        var first = await cluster.KubectlAsync(["diff", .. how, "-f", "-"], manifest);
        Assert.NotEqual(0, first.ExitCode);
        (await cluster.KubectlAsync(["apply", .. how, .. cluster.KubectlLenient, "-f", "-"], manifest)).EnsureSuccess();

        var second = await cluster.KubectlAsync(["diff", .. how, "-f", "-"], manifest);
        Assert.True(second.ExitCode == 0, second.StandardOutput + second.StandardError);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Applied_resources_have_no_difference_and_are_not_written_again(bool serverSide)
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        await cluster.ServedAsync();
        string[] how = serverSide ? ["--server-side"] : [];
        foreach (var file in Directory.GetFiles(RepositoryFiles.At("samples"), "*.yaml"))
        {
            string[] apply = ["apply", .. how, "--validate=false", "-f", file];
            (await cluster.KubectlAsync(apply)).EnsureSuccess();
            var written = await cluster.WrittenAsync();
            Assert.NotEqual("", written);

            var difference = await cluster.KubectlAsync(["diff", .. how, "-f", file]);
            var again = (await cluster.KubectlAsync(apply)).EnsureSuccess().StandardOutput;

            Assert.True(difference.ExitCode == 0, difference.StandardOutput + difference.StandardError);
            // Nothing is sent: a default inside a list would be, as lists of custom resources are compared whole.
            Assert.DoesNotContain(again.Split('\n'), line => line.EndsWith(" configured", StringComparison.Ordinal));
            Assert.Equal(written, await cluster.WrittenAsync());
        }

        // No two files say something different of one object.
        var whole = await cluster.KubectlAsync(["diff", .. how, "-f", RepositoryFiles.At("samples")]);
        Assert.True(whole.ExitCode == 0, whole.StandardOutput + whole.StandardError);
    }

    [Fact]
    public async Task What_helm_installed_has_no_difference_to_what_it_renders()
    {
        (await cluster.InstallDefinitionsAsync()).EnsureSuccess();
        (await cluster.InstallOperatorAsync()).EnsureSuccess();
        var manifest = (await cluster.HelmAsync("get", "manifest", "moebius", "-n", ChartCluster.OperatorNamespace)).EnsureSuccess().StandardOutput;

        var difference = await cluster.KubectlAsync(["diff", "--server-side", "--force-conflicts", "-f", "-"], manifest);

        Assert.True(difference.ExitCode == 0, difference.StandardOutput + difference.StandardError);
    }

    private async Task<string> ManifestAsync()
    {
        var text = (await cluster.KubectlAsync("kustomize", RepositoryFiles.At("config/default"))).EnsureSuccess().StandardOutput;
        if ((await cluster.KubectlAsync("api-versions")).EnsureSuccess().StandardOutput.Split('\n').Contains("policy/v1"))
            return text;
        // A server before 1.21 takes the base without its PodDisruptionBudget; the chart gives it the older version.
        return string.Join("---\n", text.Split("---\n").Where(document => !document.Contains("kind: PodDisruptionBudget", StringComparison.Ordinal)));
    }
}
