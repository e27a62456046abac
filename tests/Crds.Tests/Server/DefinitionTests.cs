using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests.Server;

[Trait("Category", "Cluster")]
[Collection(CrdServerTests.Name)]
public sealed class DefinitionTests(CrdServer server)
{
    public static TheoryData<string> Kinds { get; } = [.. ResourceKinds.All.Select(kind => kind.Kind)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task The_definition_is_established_and_structural(string kind)
    {
        var plural = Kind(kind).Plural;
        var definition = (await server.FindAsync("", $"crd/{plural}.moebius.dev", TestContext.Current.CancellationToken))!;
        var conditions = definition["status"]!["conditions"]!.AsArray().ToDictionary(condition => (string)condition!["type"]!, condition => (string)condition!["status"]!);
        Assert.Equal(new Dictionary<string, string> { ["NamesAccepted"] = "True", ["Established"] = "True" }, conditions);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task The_server_applies_the_defaults_of_the_types(string kind)
    {
        var manifest = CrdServer.Minimal(kind, "defaults");
        Assert.Null(await server.RefusalAsync(manifest));
        var stored = (await server.GetAsync(Kind(kind), "defaults"))["spec"]!;
        var read = Manifests.Convert(manifest, Kind(kind).Type, "m");
        AssertSame(JsonSerializer.SerializeToNode(read, read.GetType(), Manifests.Json)!["spec"]!, stored);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task The_sample_is_accepted(string kind) =>
        (await server.KubectlAsync("create", "-f", RepositoryFiles.At($"samples/{kind.ToLowerInvariant()}.yaml"))).EnsureSuccess();

    [Theory]
    [InlineData("MoEDeployment", "{experts: {slowTier: Tape}}", "Unsupported value: \"Tape\": supported values: \"DirectIO\", \"MemoryMap\", \"HostMemory\"")]
    [InlineData("MoEDeployment", "{replicas: 1001}", "spec.replicas in body should be less than or equal to 1000")]
    [InlineData("MoEDeployment", "{experts: {fastMemory: -4Mi}}", "spec.experts.fastMemory in body should match")]
    [InlineData("MoEDeployment", "{experts: {fastMemory: -4}}", "spec.experts.fastMemory in body should be greater than or equal to 0")]
    [InlineData("MoEDeployment", "{serving: {drainTimeout: 5 minutes}}", "spec.serving.drainTimeout in body should match")]
    [InlineData("MoEDeployment", "{model: {source: {hostPath: {path: null}}}}", "spec.model.source.hostPath.path: Required value")]
    [InlineData("MoEDeployment", "{replicass: 1}", "unknown field \"spec.replicass\"")]
    [InlineData("KVPrivacyPolicy", "{publicPrefixes: [{name: a, text: x}, {name: a, text: y}]}", "spec.publicPrefixes[1]: Duplicate value")]
    [InlineData("KVPrivacyPolicy", "{rules: {disabled: [Email, Email]}}", "spec.rules.disabled[1]: Duplicate value: \"Email\"")]
    [InlineData("MemorySchedulingProfile", "{policy: {readerAbovePercent: 49}}", "spec.policy.readerAbovePercent in body should be greater than or equal to 50")]
    [InlineData("PromptOptimizationJob", "{prompt: null, prompts: []}", "spec.prompts in body should have at least 1 items")]
    public async Task The_server_and_the_local_validator_refuse_the_same(string kind, string spec, string message)
    {
        var manifest = CrdServer.Minimal(kind, "refused", spec);
        Assert.Contains(message, await server.RefusalAsync(manifest), StringComparison.Ordinal);
        Assert.Single(ManifestValidator.Validate(manifest));
    }

    [Theory]
    [InlineData("MoEDeployment", 63)]
    [InlineData("KVPrivacyPolicy", 63)]
    [InlineData("MemorySchedulingProfile", 49)]
    [InlineData("PromptOptimizer", 53)]
    public async Task A_name_leaves_room_for_what_is_named_after_it(string kind, int longest)
    {
        Assert.Null(await server.RefusalAsync(CrdServer.Minimal(kind, new string('a', longest)), dryRun: true));
        foreach (var name in new[] { new string('a', longest + 1), "1a", "a.b" })
        {
            var manifest = CrdServer.Minimal(kind, name);
            Assert.Contains("metadata.name", await server.RefusalAsync(manifest), StringComparison.Ordinal);
            Assert.Equal("metadata.name", Assert.Single(ManifestValidator.Validate(manifest)).Path);
        }
    }

    [Theory]
    [InlineData("MoEDeployment", "{experts: {fastMemory: 1048576}, image: null, kvCache: null, resources: {limits: {cpu: 2, memory: 1.5Gi}}}")]
    [InlineData("MoEDeployment", "{podTemplate: {spec: {anything: [1, {x: y}]}}, placement: {tolerations: [{operator: Exists}]}}")]
    [InlineData("KVPrivacyPolicy", "{classifier: {publicBelowPercent: 70}, identity: {tenantHeader: X}}")]
    public async Task The_server_and_the_local_validator_accept_the_same(string kind, string spec)
    {
        var manifest = CrdServer.Minimal(kind, "accepted", spec);
        Assert.Null(await server.RefusalAsync(manifest, dryRun: true));
        Assert.Empty(ManifestValidator.Validate(manifest));
    }

    [Fact]
    public async Task The_scale_subresource_sets_replicas_and_shows_the_selector()
    {
        Assert.Null(await server.RefusalAsync(CrdServer.Minimal("MoEDeployment", "scaled")));
        (await server.KubectlAsync("scale", "moe", "scaled", "--replicas=3")).EnsureSuccess();
        (await server.KubectlAsync("patch", "moe", "scaled", "--subresource=status", "--type=merge", "-p", """{"status":{"replicas":2,"selector":"app=x"}}""")).EnsureSuccess();
        Assert.Equal(3, (int)(await server.GetAsync(Kind("MoEDeployment"), "scaled"))["spec"]!["replicas"]!);
        var scale = JsonNode.Parse((await server.KubectlAsync("get", "--raw", "/apis/moebius.dev/v1alpha1/namespaces/default/moedeployments/scaled/scale")).EnsureSuccess().StandardOutput)!;
        Assert.Equal((3, 2, "app=x"), ((int)scale["spec"]!["replicas"]!, (int)scale["status"]!["replicas"]!, (string)scale["status"]!["selector"]!));
    }

    [Fact]
    public async Task A_status_is_written_through_its_subresource_only()
    {
        var manifest = CrdServer.Minimal("MoEDeployment", "status");
        manifest["status"] = new JsonObject { ["model"] = "m" };
        Assert.Null(await server.RefusalAsync(manifest));
        Assert.Null((await server.GetAsync(Kind("MoEDeployment"), "status"))["status"]);
    }

    [Fact]
    public async Task Kubectl_get_shows_what_a_person_asks_first()
    {
        Assert.Null(await server.RefusalAsync(CrdServer.Minimal("MoEDeployment", "printed", "{experts: {fastMemory: 4Mi}, kvCache: {policyRef: {name: tenants}}}")));
        const string status = """{"status":{"model":"austen","readyReplicas":1,"conditions":[{"type":"Ready","status":"True","reason":"PodsReady","message":"m","lastTransitionTime":"2026-01-31T12:00:00Z"}]}}""";
        (await server.KubectlAsync("patch", "moe", "printed", "--subresource=status", "--type=merge", "-p", status)).EnsureSuccess();
        var lines = (await server.KubectlAsync("get", "moe", "printed", "-o", "wide")).EnsureSuccess().StandardOutput.Split('\n');
        Assert.Equal(["NAME", "MODEL", "READY", "REPLICAS", "FAST-MEMORY", "POLICY", "REASON", "AGE"], Words(lines[0]));
        Assert.Equal(["printed", "austen", "True", "1", "4Mi", "tenants", "PodsReady"], Words(lines[1])[..7]);
        Assert.Contains("moedeployment.moebius.dev/printed", (await server.KubectlAsync("get", "moebius", "-o", "name")).EnsureSuccess().StandardOutput, StringComparison.Ordinal);
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static ResourceKind Kind(string name) => ResourceKinds.All.Single(kind => kind.Kind == name);

    private static void AssertSame(JsonNode expected, JsonNode actual)
    {
        if (!JsonNode.DeepEquals(expected, actual))
            Assert.Equal(expected.ToJsonString(), actual.ToJsonString());
    }
}
