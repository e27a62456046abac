using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.Images;

/// <summary>The bill of materials of one image, in CycloneDX 1.6.</summary>
internal static class Sbom
{
    /// <summary>Lists what an image holds.</summary>
    /// <param name="image">The image.</param>
    /// <param name="version">Its version.</param>
    /// <param name="digest">Digest of its manifest.</param>
    /// <param name="created">When the source was made that it is built from.</param>
    /// <param name="packages">Its Debian packages.</param>
    /// <param name="libraries">Its NuGet packages.</param>
    /// <param name="runtime">Version of its .NET runtime.</param>
    public static string Write(
        ImageDefinition image,
        string version,
        string digest,
        DateTimeOffset created,
        IEnumerable<DebianPackage> packages,
        IEnumerable<NuGetPackage> libraries,
        string runtime)
    {
        List<JsonObject> components =
        [
            Component("framework", ".NET runtime", runtime, $"pkg:generic/dotnet-runtime@{runtime}", null, null, "MIT"),
            .. packages.Select(package => Component("library", package.Name, package.Version, Url(package), "SHA-256", package.Sha256, null)),
            .. libraries.Select(library => Component("library", library.Name, library.Version, $"pkg:nuget/{library.Name}@{library.Version}", "SHA-512", library.Sha512, library.Licence)),
        ];
        components.Sort((one, other) => string.CompareOrdinal((string)one["bom-ref"]!, (string)other["bom-ref"]!));
        var subject = new JsonObject
        {
            ["type"] = "container",
            ["bom-ref"] = image.Name,
            ["name"] = image.Name,
            ["version"] = version,
            ["description"] = image.Title,
            ["licenses"] = Licence("Apache-2.0"),
            ["purl"] = $"pkg:oci/{image.Name}@{Uri.EscapeDataString(digest)}?arch=amd64&tag={version}",
        };
        return new JsonObject
        {
            ["bomFormat"] = "CycloneDX",
            ["specVersion"] = "1.6",
            ["serialNumber"] = "urn:uuid:" + Serial(digest),
            ["version"] = 1,
            ["metadata"] = new JsonObject
            {
                ["timestamp"] = created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture),
                ["component"] = subject,
            },
            ["components"] = new JsonArray([.. components]),
            ["dependencies"] = new JsonArray(new JsonObject
            {
                ["ref"] = image.Name,
                ["dependsOn"] = new JsonArray([.. components.Select(component => component["bom-ref"]!.DeepClone())]),
            }),
        }.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n";
    }

    private static JsonObject Component(string type, string name, string version, string url, string? algorithm, string? hash, string? licence)
    {
        var component = new JsonObject { ["type"] = type, ["bom-ref"] = url, ["name"] = name, ["version"] = version, ["purl"] = url };
        if (hash is not null)
            component["hashes"] = new JsonArray(new JsonObject { ["alg"] = algorithm, ["content"] = hash });
        if (licence is not null)
            component["licenses"] = Licence(licence);
        return component;
    }

    private static JsonArray Licence(string expression) => new(new JsonObject { ["expression"] = expression });

    private static string Url(DebianPackage package) =>
        $"pkg:deb/debian/{Uri.EscapeDataString(package.Name)}@{Uri.EscapeDataString(package.Version)}?arch={package.Architecture}&distro={Catalog.Suite}&upstream={Uri.EscapeDataString(package.Source)}";

    /// <summary>A UUID of its own for each image, and the same for the same image.</summary>
    private static Guid Serial(string digest)
    {
        var bytes = SHA256.HashData(Encoding.ASCII.GetBytes(digest))[..16];
        bytes[6] = (byte)((bytes[6] & 0x0f) | 0x80);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        return new Guid(bytes, bigEndian: true);
    }
}
