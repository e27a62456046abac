using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.Images;

/// <summary>What the configuration of an image says beside its layers.</summary>
/// <param name="Reference">The image's whole name, such as <c>docker.io/library/moebius-operator:0.1.0</c>.</param>
/// <param name="User">User and group, as numbers.</param>
/// <param name="Entrypoint">The program.</param>
/// <param name="Arguments">Its arguments, unless a container names others.</param>
/// <param name="Environment">Variables, as NAME=VALUE.</param>
/// <param name="Labels">What the image says about itself.</param>
/// <param name="Created">When the source was made that it is built from.</param>
internal sealed record ImageConfig(
    string Reference,
    string User,
    IReadOnlyList<string> Entrypoint,
    IReadOnlyList<string> Arguments,
    IReadOnlyList<string> Environment,
    IReadOnlyDictionary<string, string> Labels,
    DateTimeOffset Created);

/// <summary>
/// A folder of images in the OCI image layout, and the same as one archive. Images that share layers share the blobs.
/// </summary>
internal sealed class OciLayout
{
    private const string ManifestType = "application/vnd.oci.image.manifest.v1+json";
    private const string ConfigType = "application/vnd.oci.image.config.v1+json";
    private const string LayerType = "application/vnd.oci.image.layer.v1.tar+gzip";

    private static readonly JsonSerializerOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly string _folder;
    private readonly JsonArray _manifests = [];

    public OciLayout(string folder)
    {
        _folder = folder;
        Blobs = new BlobStore(folder);
    }

    public BlobStore Blobs { get; }

    /// <summary>Adds an image of layers that the store already has; returns the digest of its manifest.</summary>
    public async Task<string> AddImageAsync(ImageConfig image, IReadOnlyList<Layer> layers, CancellationToken cancellationToken)
    {
        var created = image.Created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        var config = await AddAsync(
            new JsonObject
            {
                ["created"] = created,
                ["architecture"] = "amd64",
                ["os"] = "linux",
                ["config"] = new JsonObject
                {
                    ["User"] = image.User,
                    ["Env"] = Strings(image.Environment),
                    ["Entrypoint"] = Strings(image.Entrypoint),
                    ["Cmd"] = Strings(image.Arguments),
                    ["WorkingDir"] = "/",
                    ["Labels"] = Map(image.Labels),
                },
                ["rootfs"] = new JsonObject { ["type"] = "layers", ["diff_ids"] = Strings(layers.Select(layer => layer.DiffId)) },
                ["history"] = new JsonArray([.. layers.Select(layer => new JsonObject { ["created"] = created, ["created_by"] = layer.CreatedBy })]),
            },
            cancellationToken);
        var manifest = await AddAsync(
            new JsonObject
            {
                ["schemaVersion"] = 2,
                ["mediaType"] = ManifestType,
                ["config"] = Descriptor(ConfigType, config),
                ["layers"] = new JsonArray([.. layers.Select(layer => Descriptor(LayerType, layer.Compressed))]),
                ["annotations"] = Map(image.Labels),
            },
            cancellationToken);
        var entry = Descriptor(ManifestType, manifest);
        entry["platform"] = new JsonObject { ["architecture"] = "amd64", ["os"] = "linux" };
        entry["annotations"] = new JsonObject
        {
            ["io.containerd.image.name"] = image.Reference,
            ["org.opencontainers.image.ref.name"] = image.Reference,
        };
        _manifests.Add(entry);
        return manifest.Digest;
    }

    /// <summary>Writes the index, which makes the folder complete.</summary>
    public async Task CompleteAsync(CancellationToken cancellationToken)
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "oci-layout"), """{"imageLayoutVersion":"1.0.0"}""", cancellationToken);
        var index = new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = "application/vnd.oci.image.index.v1+json",
            ["manifests"] = _manifests.DeepClone(),
        };
        await File.WriteAllTextAsync(Path.Combine(_folder, "index.json"), index.ToJsonString(Compact), cancellationToken);
    }

    /// <summary>Writes a complete folder as one archive, which <c>ctr images import</c> takes.</summary>
    public static async Task WriteArchiveAsync(string folder, string file, CancellationToken cancellationToken)
    {
        var content = new LayerContent();
        foreach (var path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
            content.AddFile(Path.GetRelativePath(folder, path), () => File.OpenRead(path));
        // Under its own name only when it is whole: an archive that breaks off looks like any other.
        var part = file + ".part";
        await using (var output = File.Create(part))
            await content.WriteAsync(output, cancellationToken);
        File.Move(part, file, overwrite: true);
    }

    private Task<Blob> AddAsync(JsonObject content, CancellationToken cancellationToken) =>
        Blobs.AddAsync(System.Text.Encoding.UTF8.GetBytes(content.ToJsonString(Compact)), cancellationToken);

    private static JsonObject Descriptor(string mediaType, Blob blob) => new() { ["mediaType"] = mediaType, ["digest"] = blob.Digest, ["size"] = blob.Size };

    private static JsonArray Strings(IEnumerable<string> values) => new([.. values.Select(value => (JsonNode)value)]);

    private static JsonObject Map(IReadOnlyDictionary<string, string> values) =>
        new(values.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));
}
