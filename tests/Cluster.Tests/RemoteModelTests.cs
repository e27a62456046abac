using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using Moebius.KubernetesEnvironment;
using Moebius.KubernetesEnvironment.Node;

namespace Moebius.Cluster.Tests;

/// <summary>Models from elsewhere, on a real node: a Job brings them into a claim once, and all replicas serve from there.</summary>
[Trait("Category", "Node")]
[Collection(NodeTests.Name)]
public sealed class RemoteModelTests(NodeCluster cluster)
{
    private const string Archive = "austen-moe.tar.gz";
    private const string Question = "What did Mr. Bennet say to his wife?";
    private const string Inference = "app.kubernetes.io/component=inference";

    [Theory]
    [InlineData("http", 1)]
    [InlineData("hub", 2)]
    [InlineData("s3", 1)]
    public async Task Model_is_fetched_once_packed_and_answers_as_the_local_one(string kind, int replicas)
    {
        await using var store = await StoreServer.StartAsync($"http://{KubernetesNode.Address}:{LoopbackPorts.Take()}");
        foreach (var file in Directory.EnumerateFiles(RepositoryFiles.At("samples/models/austen-moe")))
            store.Files[Path.GetFileName(file)] = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
        var archive = Packed(store.Files);
        if (kind == "http")
            store.Files[Archive] = archive;
        var url = store.Url.ToString().TrimEnd('/');
        var source = kind switch
        {
            "http" => $"http: {{url: '{url}/files/{Archive}', sha256: {Convert.ToHexStringLower(SHA256.HashData(archive))}}}",
            "hub" => $"huggingFace: {{repository: o/m, endpoint: '{url}', tokenSecretRef: {{name: store, key: token}}}}",
            _ => $"s3: {{uri: 's3://bucket/a/b', endpoint: '{url}', region: eu-west-1, credentialsSecretRef: {{name: store}}}}",
        };
        var folder = $"{NodeCluster.NodeFolder}/from-{kind}";
        File.SetUnixFileMode(Directory.CreateDirectory(folder).FullName, (UnixFileMode)0b111_111_111);
        await cluster.ApplyAsync(Manifest(kind, source, folder, replicas));

        await cluster.EventuallyAsync($"the model from {kind} is ready", () => cluster.IsReadyAsync("moedeployment", "austen", $"from-{kind}"));
        await cluster.EventuallyAsync($"{replicas} replicas serve", async () => (await cluster.PodsAsync($"from-{kind}", Inference)).Count(pod => NodeCluster.IsReady(pod)) == replicas);

        using var local = await cluster.ChatAsync();
        using var remote = await cluster.ChatAsync($"from-{kind}");
        await cluster.EventuallyAsync("the local model is ready", () => cluster.IsReadyAsync("moedeployment", "austen"));
        Assert.Equal(await local.AskAsync(Question), await remote.AskAsync(Question));
        // However many replicas there are, weights have been asked for once; each request has been signed or has its token.
        var weights = store.Requests.Where(request => request.Path.EndsWith(kind == "http" ? Archive : ".safetensors", StringComparison.Ordinal) && !request.Path.Contains("expected", StringComparison.Ordinal)).ToList();
        Assert.Single(weights);
        Assert.StartsWith(kind switch { "hub" => $"Bearer {StoreServer.Token}", "s3" => "AWS4-HMAC-SHA256 Credential=key/", _ => "" }, weights[0].Authorization ?? "", StringComparison.Ordinal);
        Assert.NotEmpty(Directory.EnumerateFiles(folder, "experts-*.moebius", SearchOption.AllDirectories));

        (await cluster.KubectlAsync("delete", "namespace", $"from-{kind}", "--wait=false")).EnsureSuccess();
    }

    private static string Manifest(string kind, string source, string folder, int replicas) => $$"""
        apiVersion: v1
        kind: PersistentVolume
        metadata: {name: from-{{kind}}}
        spec:
          capacity: {storage: 1Gi}
          accessModes: [ReadWriteOnce, ReadWriteMany]
          persistentVolumeReclaimPolicy: Retain
          storageClassName: from-{{kind}}
          hostPath: {path: {{folder}}, type: Directory}
        ---
        apiVersion: v1
        kind: Namespace
        metadata: {name: from-{{kind}}}
        ---
        apiVersion: v1
        kind: Secret
        metadata: {name: store, namespace: from-{{kind}}}
        stringData: {token: {{StoreServer.Token}}, AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret}
        ---
        apiVersion: moebius.dev/v1alpha1
        kind: MoEDeployment
        metadata: {name: austen, namespace: from-{{kind}}}
        spec:
          replicas: {{replicas}}
          model:
            source:
              {{source}}
              store: {size: 256Mi, accessMode: ReadWriteMany, storageClassName: from-{{kind}}}
          experts: {fastMemory: 6Mi}
          serving: {maxConcurrentSequences: 2, kvMemory: 32Mi}
        """;

    private static byte[] Packed(Dictionary<string, byte[]> files)
    {
        using var bytes = new MemoryStream();
        using (var compressed = new GZipStream(bytes, CompressionLevel.Fastest))
        using (var tar = new TarWriter(compressed))
        {
            foreach (var (name, content) in files)
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, $"austen-moe/{name}") { DataStream = new MemoryStream(content) });
        }

        return bytes.ToArray();
    }
}
