using System.Text.Json.Nodes;
using Moebius.KubernetesEnvironment;

namespace Moebius.Charts.Tests.Cluster;

/// <summary>A real API server without anything of Moebius. No controller runs: namespaces stay, and so do children.</summary>
public sealed class ChartCluster : KubernetesTestServer
{
    public const string OperatorNamespace = "moebius-system";

    private static readonly string[] Kinds = ["moe", "kvp", "msp", "popt", "pojob"];

    /// <summary>What kubectl and helm need for definitions: an old core's schema does not know their CEL rules.</summary>
    internal string[] KubectlLenient => CustomResourcesServedApart ? ["--validate=false"] : [];

    internal string[] HelmLenient => CustomResourcesServedApart ? ["--disable-openapi-validation"] : [];

    protected override async Task PrepareAsync()
    {
        // Routes to the resources stay when the definitions go; the tests install these as users do.
        await InstallCrdsAsync(RepositoryFiles.At("crds/manifests"));
        (await KubectlAsync("delete", "-f", RepositoryFiles.At("crds/manifests"), "--wait")).EnsureSuccess();
    }

    internal async Task<CommandResult> HelmAsync(params string[] arguments) => await HelmAsync(arguments, null);

    internal Task<CommandResult> InstallDefinitionsAsync(params string[] more) => InstallDefinitionsFromAsync(RepositoryFiles.At("charts/moebius-crds"), more);

    internal Task<CommandResult> InstallDefinitionsFromAsync(string chart, params string[] more) =>
        HelmAsync(["upgrade", "--install", "moebius-crds", chart, "-n", OperatorNamespace, "--create-namespace", .. HelmLenient, .. more]);

    internal Task<CommandResult> InstallOperatorAsync(params string[] more) =>
        HelmAsync(["upgrade", "--install", "moebius", RepositoryFiles.At("charts/moebius"), "-n", OperatorNamespace, "--create-namespace", .. more]);

    /// <summary>Uninstalls everything and removes the definitions, which are kept.</summary>
    internal async Task ClearAsync()
    {
        foreach (var release in new[] { "moebius", "moebius-crds" })
            (await HelmAsync("uninstall", release, "-n", OperatorNamespace, "--ignore-not-found")).EnsureSuccess();
        // The finalizer of a profile waits for an operator; where a test has stopped its own, nothing would end it.
        foreach (var profile in (await KubectlAsync("get", "memoryschedulingprofiles", "-o", "name")).StandardOutput.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            await KubectlAsync("patch", profile, "--type=merge", "-p", """{"metadata":{"finalizers":null}}""");
        (await KubectlAsync("delete", "crd", "-l", "app.kubernetes.io/part-of=moebius", "--timeout=60s")).EnsureSuccess();
    }

    /// <summary>Applies YAML as a user would, once the resource is served.</summary>
    internal async Task ApplyAsync(string yaml)
    {
        await ServedAsync();
        (await KubectlAsync(["apply", "--validate=false", "-f", "-"], yaml)).EnsureSuccess();
    }

    /// <summary>Waits until every kind of Moebius is served.</summary>
    internal async Task ServedAsync()
    {
        foreach (var kind in Kinds)
            await Eventually.TrueAsync(async () => await FindAsync("", kind) is not null, $"{kind} are served");
    }

    /// <summary>Every object of Moebius, with the version that changes with each write.</summary>
    internal async Task<string> WrittenAsync()
    {
        List<string> written = [];
        foreach (var kind in Kinds)
            written.AddRange((await FindAsync("", kind))!["items"]!.AsArray().Select(one => $"{kind}/{one!["metadata"]!["name"]} {one["metadata"]!["resourceVersion"]}"));
        return string.Join('\n', written);
    }

    /// <summary>An object; null when there is none.</summary>
    internal Task<JsonNode?> GetAsync(string kind, string name, string @namespace = "default") => FindAsync(@namespace, $"{kind}/{name}", TestContext.Current.CancellationToken);
}

/// <summary>One cluster for all tests that need one.</summary>
[CollectionDefinition(Name)]
public sealed class ClusterTests : ICollectionFixture<ChartCluster>
{
    public const string Name = "cluster";
}
