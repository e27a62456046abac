using System.Text.Json.Nodes;
using Moebius.KubernetesEnvironment;

namespace Moebius.Crds.Tests.Server;

/// <summary>A real API server with CEL and our definitions, one for all tests.</summary>
public sealed class CrdServer : KubernetesTestServer
{
    protected override Task PrepareAsync() => InstallCrdsAsync(RepositoryFiles.At("crds/manifests"));

    /// <summary>Why the server refuses a resource; null when it has created it, or would.</summary>
    public Task<string?> RefusalAsync(JsonObject manifest, bool dryRun = false) => CreateAsync("default", manifest, dryRun, TestContext.Current.CancellationToken);

    /// <summary>Reads a resource back as JSON.</summary>
    public async Task<JsonObject> GetAsync(ResourceKind kind, string name) =>
        (JsonObject)(await FindAsync("default", $"{kind.Plural}.moebius.dev/{name}", TestContext.Current.CancellationToken))!;

    /// <summary>A resource with the required fields only, and what is merged into its spec.</summary>
    public static JsonObject Minimal(string kind, string name, string spec = "{}")
    {
        var required = kind switch
        {
            "MoEDeployment" => "{model: {source: {hostPath: {path: /models/austen}}}}",
            "PromptOptimizer" => "{languageModel: {moeDeploymentRef: {name: austen}}}",
            "PromptOptimizationJob" => "{optimizerRef: {name: sculptor}, prompt: a harbour}",
            _ => "{}",
        };
        var yaml = $"{{apiVersion: moebius.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {required}}}";
        var manifest = Manifests.ParseDocuments(yaml, "minimal").Single();
        Merge((JsonObject)manifest["spec"]!, Manifests.ParseDocuments(spec, "spec").Single());
        return manifest;
    }

    // As in a JSON merge patch, no value removes a field.
    private static void Merge(JsonObject target, JsonObject changes)
    {
        foreach (var (name, change) in changes)
        {
            if (change is null)
                target.Remove(name);
            else if (change is JsonObject inner && target[name] is JsonObject existing)
                Merge(existing, inner);
            else
                target[name] = change.DeepClone();
        }
    }
}

/// <summary>Tests that share the server; one for the whole assembly would start for every other test, too.</summary>
[CollectionDefinition(Name)]
public sealed class CrdServerTests : ICollectionFixture<CrdServer>
{
    public const string Name = "CRD server";
}
