using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Moebius.Images.Tests;

public sealed class OciLayoutTests : TemporaryFolder
{
    private static readonly DateTimeOffset Created = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);

    [Fact]
    public async Task Every_descriptor_names_the_blob_that_is_there()
    {
        await BuildAsync(At("oci"));

        Assert.Equal("1.0.0", (string?)Json("oci/oci-layout")["imageLayoutVersion"]);
        var entries = Json("oci/index.json")["manifests"]!.AsArray();
        Assert.Equal(["docker.io/library/one:1", "docker.io/library/two:1"], entries.Select(entry => (string)entry!["annotations"]!["io.containerd.image.name"]!));
        foreach (var entry in entries)
        {
            var manifest = JsonNode.Parse(Blob(entry!))!;
            var config = JsonNode.Parse(Blob(manifest["config"]!))!;
            Assert.Equal("application/vnd.oci.image.manifest.v1+json", (string?)entry!["mediaType"]);
            Assert.Equal(("amd64", "linux", "2023-11-14T22:13:20Z"), ((string?)config["architecture"], (string?)config["os"], (string?)config["created"]));
            Assert.Equal("65532:65532", (string?)config["config"]!["User"]);
            Assert.Equal(["moebius"], config["config"]!["Entrypoint"]!.AsArray().Select(word => (string)word!));
            var layers = manifest["layers"]!.AsArray();
            Assert.Equal(layers.Select(layer => DiffId(Blob(layer!))), config["rootfs"]!["diff_ids"]!.AsArray().Select(id => (string)id!));
            Assert.Equal(layers.Count, config["history"]!.AsArray().Count);
        }
    }

    [Fact]
    public async Task Shared_layer_is_stored_once()
    {
        await BuildAsync(At("oci"));

        // Two manifests, two configurations, one layer of both, one of the second.
        Assert.Equal(6, Directory.GetFiles(At("oci/blobs/sha256")).Length);
    }

    [Fact]
    public async Task Same_input_gives_the_same_digests_and_archive()
    {
        await BuildAsync(At("first"));
        await BuildAsync(At("second"));
        await OciLayout.WriteArchiveAsync(At("first"), At("first.tar"), CancellationToken.None);
        await OciLayout.WriteArchiveAsync(At("second"), At("second.tar"), CancellationToken.None);

        Assert.Equal(File.ReadAllBytes(At("first.tar")), File.ReadAllBytes(At("second.tar")));
    }

    [Fact]
    public async Task Archive_holds_the_layout()
    {
        await BuildAsync(At("oci"));
        await OciLayout.WriteArchiveAsync(At("oci"), At("oci.tar"), CancellationToken.None);

        await TarFile.ExtractToDirectoryAsync(At("oci.tar"), Directory.CreateDirectory(At("again")).FullName, overwriteFiles: false);

        Assert.Equal(Files("oci"), Files("again"));
    }

    private static async Task BuildAsync(string folder)
    {
        var layout = new OciLayout(folder);
        var shared = await layout.Blobs.AddLayerAsync("shared", new LayerContent().AddFile("etc/passwd", "root"u8.ToArray()), CancellationToken.None);
        var own = await layout.Blobs.AddLayerAsync("own", new LayerContent().AddFile("opt/library", new byte[100_000]), CancellationToken.None);
        await layout.AddImageAsync(Config("one"), [shared], CancellationToken.None);
        await layout.AddImageAsync(Config("two"), [shared, own], CancellationToken.None);
        await layout.CompleteAsync(CancellationToken.None);
    }

    private static ImageConfig Config(string name) => new(
        $"docker.io/library/{name}:1",
        "65532:65532",
        ["moebius"],
        ["operator", "run"],
        ["PATH=/usr/bin"],
        new Dictionary<string, string> { ["org.opencontainers.image.title"] = name },
        Created);

    private byte[] Blob(JsonNode descriptor)
    {
        var digest = (string)descriptor["digest"]!;
        var content = File.ReadAllBytes(At("oci/blobs/sha256/" + digest["sha256:".Length..]));
        Assert.Equal((long)descriptor["size"]!, content.Length);
        Assert.Equal(digest, "sha256:" + Convert.ToHexStringLower(SHA256.HashData(content)));
        return content;
    }

    private static string DiffId(byte[] layer)
    {
        using var archive = new GZipStream(new MemoryStream(layer), CompressionMode.Decompress);
        return "sha256:" + Convert.ToHexStringLower(SHA256.HashData(archive));
    }

    private JsonNode Json(string path) => JsonNode.Parse(File.ReadAllText(At(path)))!;

    private List<string> Files(string folder) => [.. Directory.GetFiles(At(folder), "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(At(folder), file)).Order(StringComparer.Ordinal)];
}
