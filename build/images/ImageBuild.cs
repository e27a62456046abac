using System.Globalization;
using System.Reflection;

namespace Moebius.Images;

/// <summary>An image that was built.</summary>
/// <param name="Reference">Its whole name.</param>
/// <param name="Digest">Digest of its manifest.</param>
/// <param name="DownloadSize">Bytes of its compressed layers.</param>
/// <param name="UnpackedSize">Bytes of its layers unpacked.</param>
internal sealed record BuiltImage(string Reference, string Digest, long DownloadSize, long UnpackedSize);

/// <summary>Builds all images of a checkout.</summary>
/// <param name="Repository">The checkout.</param>
/// <param name="Output">Folder for the images; replaced when they are complete.</param>
/// <param name="Registry">What comes before an image's name, such as <c>registry.example/team</c>.</param>
/// <param name="Created">When the source was made that is built.</param>
/// <param name="Revision">The commit that is built, with <c>-dirty</c> behind it where files differ from it; empty when it is not known.</param>
/// <param name="Application">The program as an earlier build published it; null to publish it now.</param>
internal sealed record ImageBuild(string Repository, string Output, string Registry, DateTimeOffset Created, string Revision, string? Application = null)
{
    private static readonly string[] Environment =
    [
        "PATH=/usr/bin:/bin",
        "HOME=/var/lib/moebius",
        "DOTNET_ROOT=/" + DotNetRuntime.Folder,
        "DOTNET_RUNNING_IN_CONTAINER=true",
        // The runtime's diagnostic sockets need a writable /tmp, which there is not.
        "DOTNET_EnableDiagnostics=0",
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    ];

    /// <summary>The version of the product.</summary>
    public static string Version { get; } = typeof(ImageBuild).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    public string Layout => Path.Combine(Output, "oci");

    public string Archive => Path.Combine(Output, $"moebius-{Version}.tar");

    /// <summary>
    /// The build of a checkout. Its time is that of the commit, so that the same commit gives the same images;
    /// <c>SOURCE_DATE_EPOCH</c> says otherwise.
    /// </summary>
    public static async Task<ImageBuild> OfCheckoutAsync(string repository, string output, string registry, string? application, CancellationToken cancellationToken)
    {
        var isRepository = Path.Exists(Path.Combine(repository, ".git"));
        var time = System.Environment.GetEnvironmentVariable("SOURCE_DATE_EPOCH") is { Length: > 0 } given ? given
            : isRepository ? (await Shell.RunAsync("git", ["-C", repository, "log", "-1", "--format=%ct"], cancellationToken)).Trim()
            : throw new ImageException("SOURCE_DATE_EPOCH: is needed, because this checkout is no git repository: give the seconds since 1970 that the images shall carry");
        return long.TryParse(time, CultureInfo.InvariantCulture, out var seconds) && seconds >= 0
            ? new ImageBuild(
                repository,
                output,
                registry,
                DateTimeOffset.FromUnixTimeSeconds(seconds),
                isRepository ? (await Shell.RunAsync("git", ["-C", repository, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], cancellationToken)).Trim() : "",
                application)
            : throw new ImageException($"SOURCE_DATE_EPOCH: '{time}' is not a number of seconds since 1970");
    }

    /// <summary>Publishes the program and builds every image, its bill of materials, and the archive of all.</summary>
    public async Task<IReadOnlyList<BuiltImage>> RunAsync(CancellationToken cancellationToken)
    {
        var work = Path.Combine(Output, "work");
        Directory.CreateDirectory(work);
        var runtime = DotNetRuntime.Find();
        var packages = await PackageStore.FetchAsync(Repository, Catalog.Base.Concat(Catalog.Images.SelectMany(image => image.Packages)).Select(package => package.Name), cancellationToken);
        var publication = Application is null ? await Publication.CreateAsync(Repository, work, cancellationToken) : Publication.Open(Application);
        runtime.Check(publication.RuntimeConfig);

        var part = Path.Combine(Output, "oci.part");
        if (Directory.Exists(part))
            Directory.Delete(part, recursive: true);
        var layout = new OciLayout(part);
        List<Layer> common =
        [
            await layout.Blobs.AddLayerAsync($"Debian {Catalog.Suite}: {string.Join(' ', Catalog.Base.Select(package => package.Name))}", await BaseLayer.CreateAsync(packages, cancellationToken), cancellationToken),
            await layout.Blobs.AddLayerAsync($".NET runtime {runtime.Version}", runtime.Layer(), cancellationToken),
            await layout.Blobs.AddLayerAsync($"moebius {Version}", publication.CommonLayer(), cancellationToken),
        ];
        List<BuiltImage> built = [];
        foreach (var image in Catalog.Images)
        {
            var own = new LayerContent();
            await BaseLayer.AddAsync(own, image.Packages, packages, cancellationToken);
            publication.AddOwn(own, image);
            List<Layer> layers = [.. common, await layout.Blobs.AddLayerAsync(image.Title, own, cancellationToken)];
            var reference = $"{Registry}/{image.Name}:{Version}";
            var digest = await layout.AddImageAsync(Config(image, reference), layers, cancellationToken);
            built.Add(new BuiltImage(reference, digest, layers.Sum(layer => layer.Compressed.Size), layers.Sum(layer => layer.ArchiveSize)));
            await File.WriteAllTextAsync(
                Path.Combine(Output, $"{image.Name}.cdx.json"),
                Sbom.Write(
                    image,
                    Version,
                    digest,
                    Created,
                    Catalog.Base.Concat(image.Packages).Select(package => packages[package.Name]),
                    publication.Packages.Where(package => publication.Has(image, package)),
                    runtime.Version),
                cancellationToken);
        }

        await layout.CompleteAsync(cancellationToken);
        if (Directory.Exists(Layout))
            Directory.Delete(Layout, recursive: true);
        Directory.Move(part, Layout);
        await OciLayout.WriteArchiveAsync(Layout, Archive, cancellationToken);
        return built;
    }

    private ImageConfig Config(ImageDefinition image, string reference)
    {
        var labels = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["org.opencontainers.image.title"] = image.Name,
            ["org.opencontainers.image.description"] = image.Title,
            ["org.opencontainers.image.version"] = Version,
            ["org.opencontainers.image.licenses"] = "Apache-2.0",
            ["org.opencontainers.image.created"] = Created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture),
        };
        if (Revision.Length > 0)
            labels["org.opencontainers.image.revision"] = Revision;
        return new ImageConfig(reference, $"{Catalog.User}:{Catalog.User}", ["moebius"], image.Arguments, Environment, labels, Created);
    }
}
