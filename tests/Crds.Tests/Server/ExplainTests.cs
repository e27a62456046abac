using Moebius.KubernetesEnvironment;

namespace Moebius.Crds.Tests.Server;

/// <summary>An API server that serves the definitions itself, which <c>kubectl explain</c> needs; an old one ignores the rules.</summary>
public sealed class ExplainServer() : KubernetesTestServer(new KubernetesTestServerOptions { CustomResourcesFromCore = true })
{
    protected override async Task PrepareAsync()
    {
        await InstallCrdsAsync(RepositoryFiles.At("crds/manifests"));
        // The server publishes the schemas of its resources a few seconds after it serves them.
        foreach (var kind in ResourceKinds.All)
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
            while ((await KubectlAsync("explain", kind.Plural)).ExitCode != 0)
                await Task.Delay(TimeSpan.FromMilliseconds(500), patience.Token);
        }
    }
}

[Trait("Category", "Cluster")]
public sealed class ExplainTests(ExplainServer server) : IClassFixture<ExplainServer>
{
    [Theory]
    [InlineData("moedeployment")]
    [InlineData("kvprivacypolicy")]
    [InlineData("memoryschedulingprofile")]
    [InlineData("promptoptimizer")]
    [InlineData("promptoptimizationjob")]
    public async Task Every_field_below_spec_is_listed(string kind)
    {
        var fields = Schemas.Fields(Schemas.Of(ResourceKinds.All.Single(resource => resource.Kind.Equals(kind, StringComparison.OrdinalIgnoreCase))).Properties["spec"]);
        var listed = (await ExplainAsync(kind + ".spec", "--recursive")).Split(' ').ToHashSet();
        Assert.All(fields, field => Assert.Contains(field.Path.Split('.')[^1], listed));
    }

    [Fact]
    public async Task A_field_says_what_it_means_how_it_is_written_and_its_default()
    {
        Assert.Contains(
            "How long running requests may finish after a stop is asked for. Duration, such as 1h30m, 60s or 250ms. Default: 30s.",
            await ExplainAsync("moe.spec.serving.drainTimeout"),
            StringComparison.Ordinal);
        Assert.Contains(
            "how far ahead to load. Default: OnDemand. - OnDemand: Load an expert when the router asks for it. - Fixed: Predict a fixed number of layers ahead.",
            await ExplainAsync("moe.spec.experts.prefetch.mode"),
            StringComparison.Ordinal);
    }

    // Versions of kubectl indent and wrap differently.
    private async Task<string> ExplainAsync(params string[] arguments) =>
        string.Join(' ', (await server.KubectlAsync(["explain", .. arguments])).EnsureSuccess().StandardOutput.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
