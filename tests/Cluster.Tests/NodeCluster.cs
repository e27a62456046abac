using System.Text.Json.Nodes;
using Moebius.Images;
using Moebius.KubernetesEnvironment;
using Moebius.KubernetesEnvironment.Node;

namespace Moebius.Cluster.Tests;

/// <summary>
/// A whole cluster on this machine: control plane, one node, the images of <c>make images</c>, the charts installed with
/// Helm, and the quickstart applied.
/// </summary>
public sealed class NodeCluster() : KubernetesTestServer(new()
{
    ControllerManager = true,
    Controllers = ["*"],
    NodePauseImage = PauseImage.Reference,
    Timeout = TimeSpan.FromMinutes(5),
})
{
    public const string OperatorNamespace = "moebius-system";
    public const string AgentNamespace = "moebius-node-agents";

    /// <summary>The folder of the node that the quickstart's model and the optimizer's volume are in.</summary>
    internal const string NodeFolder = "/var/lib/moebius";

    /// <summary>Where node agents note what they must undo; empty once they have.</summary>
    private const string AgentState = "/run/moebius";

    /// <summary>Says that the folder is a test's, also one's that was killed.</summary>
    private const string Marker = NodeFolder + "/.made-by-a-test";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    internal static string Archive => RepositoryFiles.At($"bin/images/moebius-{ImageBuild.Version}.tar");

    protected override async Task ImportNodeImagesAsync(KubernetesNode node)
    {
        if (!File.Exists(Archive))
            throw new KubernetesAssetsMissingException($"'{Archive}' is missing: run 'make images' first, or the whole with 'make test-cluster'");
        var work = Directory.CreateTempSubdirectory("moebius-pause-");
        try
        {
            await PauseImage.WriteAsync(Path.Combine(work.FullName, "pause.tar"), Path.Combine(work.FullName, "oci"));
            await node.ImportImagesAsync(Path.Combine(work.FullName, "pause.tar"));
        }
        finally
        {
            work.Delete(recursive: true);
        }

        await node.ImportImagesAsync(Archive);
    }

    protected override async Task PrepareAsync()
    {
        PutModel();
        if (CustomResourcesServedApart)
        {
            // Makes the routes to the resources; the chart then brings the definitions, as for a user.
            await InstallCrdsAsync(RepositoryFiles.At("crds/manifests"));
            (await KubectlAsync("delete", "-f", RepositoryFiles.At("crds/manifests"), "--wait")).EnsureSuccess();
        }

        string[] lenient = CustomResourcesServedApart ? ["--disable-openapi-validation"] : [];
        (await HelmAsync(["install", "moebius-crds", RepositoryFiles.At("charts/moebius-crds"), "-n", OperatorNamespace, "--create-namespace", .. lenient], null)).EnsureSuccess();
        (await HelmAsync(["install", "moebius", RepositoryFiles.At("charts/moebius"), "-n", OperatorNamespace, "--set", "webhook.enabled=true", "--wait", "--timeout", "5m"], null)).EnsureSuccess();
        // No provisioner makes volumes here.
        await ApplyAsync("""
            apiVersion: v1
            kind: PersistentVolume
            metadata: {name: prompts}
            spec:
              capacity: {storage: 10Gi}
              accessModes: [ReadWriteOnce, ReadWriteMany]
              persistentVolumeReclaimPolicy: Retain
              hostPath: {path: /var/lib/moebius/prompts, type: Directory}
            """);
        await EventuallyAsync("the quickstart is accepted", async () => (await KubectlAsync("apply", "-f", RepositoryFiles.At("samples/quickstart.yaml"), "--validate=false")).ExitCode == 0);
    }

    internal async Task ApplyAsync(string yaml) => (await KubectlAsync(["apply", "-f", "-"], yaml)).EnsureSuccess();

    /// <summary>An object, or a list of objects by label; null when there is none.</summary>
    internal async Task<JsonNode?> GetAsync(string @namespace, params string[] what)
    {
        var text = (await KubectlAsync(["get", .. what, "-n", @namespace, "-o", "json", "--ignore-not-found"])).EnsureSuccess().StandardOutput;
        return text.Length == 0 ? null : JsonNode.Parse(text);
    }

    /// <summary>Pods that are not about to go.</summary>
    internal async Task<IReadOnlyList<JsonNode>> PodsAsync(string @namespace, string selector) =>
        [.. (await GetAsync(@namespace, "pods", "-l", selector))!["items"]!.AsArray().OfType<JsonNode>().Where(pod => pod["metadata"]!["deletionTimestamp"] is null)];

    internal static bool IsReady(JsonNode? resource, string type = "Ready") =>
        resource?["status"]?["conditions"]?.AsArray().Any(condition => (string?)condition!["type"] == type && (string?)condition["status"] == "True") ?? false;

    /// <summary>Whether a resource of Moebius is ready, as of its newest generation.</summary>
    internal async Task<bool> IsReadyAsync(string kind, string name, string @namespace = "default")
    {
        var resource = await GetAsync(@namespace, kind, name);
        return IsReady(resource) && (long?)resource!["status"]!["observedGeneration"] == (long?)resource["metadata"]!["generation"];
    }

    /// <summary>A user of the Service, from this machine, through kube-proxy.</summary>
    internal async Task<ChatClient> ChatAsync(string @namespace = "default")
    {
        var service = (await GetAsync(@namespace, "service", "austen"))!["spec"]!;
        var port = (int)service["ports"]!.AsArray().Single(one => (string?)one!["name"] == "http")!["port"]!;
        return new ChatClient($"http://{(string)service["clusterIP"]!}:{port}/");
    }

    /// <summary>Waits for what happens sooner or later; when it does not, the message shows the pods and their last words.</summary>
    internal async Task EventuallyAsync(string what, Func<Task<bool>> condition)
    {
        for (var until = DateTime.UtcNow + Patience; !await condition();)
        {
            if (DateTime.UtcNow > until)
                Assert.Fail($"{what}: not within {Patience.TotalMinutes} minutes\n{await StateAsync()}");
            await Task.Delay(500);
        }
    }

    internal async Task<string> StateAsync()
    {
        var pods = await KubectlAsync("get", "pods", "-A", "-o", "wide");
        var resources = await KubectlAsync("get", "moe,kvp,msp,popt", "-A", "-o", "wide");
        var events = await KubectlAsync("get", "events", "-A", "--sort-by=.lastTimestamp");
        var log = await KubectlAsync("logs", "-n", OperatorNamespace, "-l", "app.kubernetes.io/name=moebius-operator", "--tail=20");
        return string.Join('\n', pods.StandardOutput, resources.StandardOutput, Tail(events.StandardOutput), Tail(log.StandardOutput + log.StandardError), Tail(ReadLog("kubelet")));

        static string Tail(string text) => string.Join('\n', text.Split('\n').TakeLast(25));
    }

    /// <summary>Removes the model from the node, and the agents' folder unless something is left to undo.</summary>
    protected override Task CleanUpAsync()
    {
        if (File.Exists(Marker))
            Directory.Delete(NodeFolder, recursive: true);
        if (Directory.Exists(AgentState) && !Directory.EnumerateFileSystemEntries(AgentState).Any())
            Directory.Delete(AgentState);
        return Task.CompletedTask;
    }

    private static void PutModel()
    {
        if (Directory.Exists(NodeFolder) && !File.Exists(Marker))
            throw new KubernetesAssetsMissingException($"'{NodeFolder}' exists: this machine holds models, and a test would write among them");
        var model = Directory.CreateDirectory(NodeFolder + "/models/austen-moe").FullName;
        File.WriteAllText(Marker, "");
        foreach (var file in Directory.EnumerateFiles(RepositoryFiles.At("samples/models/austen-moe")))
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)), overwrite: true);
        // The program runs as a user without rights of its own.
        File.SetUnixFileMode(Directory.CreateDirectory(NodeFolder + "/prompts").FullName, (UnixFileMode)0b111_111_111);
    }
}

/// <summary>One cluster for all tests: its start takes longer than most of them.</summary>
[CollectionDefinition(Name)]
public sealed class NodeTests : ICollectionFixture<NodeCluster>
{
    public const string Name = "node";
}
