using System.Text.Json.Nodes;
using System.Xml.Linq;

namespace Moebius.Images;

/// <summary>A NuGet package that the program was published with.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Version">Its version.</param>
/// <param name="Sha512">SHA-512 of the package file, in lower-case hexadecimal; null when it is not known.</param>
/// <param name="Licence">Its licence as an SPDX expression; null when its description does not state one.</param>
/// <param name="Notices">Files of the package with its licence and those of what it is made of.</param>
internal sealed record NuGetPackage(string Name, string Version, string? Sha512, string? Licence, IReadOnlyList<string> Notices)
{
    private const string HashPrefix = "sha512-";

    /// <summary>Reads an entry of <c>libraries</c> of a deps.json file.</summary>
    public static NuGetPackage Parse(string key, JsonObject library)
    {
        var parts = key.Split('/');
        var hash = (string?)library["sha512"];
        var folder = (string?)library["path"] is { } path ? Path.Combine(Store(), path) : null;
        return new NuGetPackage(
            parts[0],
            parts[1],
            hash is not null && hash.StartsWith(HashPrefix, StringComparison.Ordinal) ? Convert.ToHexStringLower(Convert.FromBase64String(hash[HashPrefix.Length..])) : null,
            folder is null ? null : StatedLicence(folder),
            folder is null ? [] : NoticesIn(folder));
    }

    private static List<string> NoticesIn(string folder) => !Directory.Exists(folder) ? [] : [.. Directory.EnumerateFiles(folder).Where(IsNotice).Order(StringComparer.Ordinal)];

    private static bool IsNotice(string file) => Path.GetFileName(file).Replace("-", "", StringComparison.Ordinal) is var name
        && (name.StartsWith("licen", StringComparison.OrdinalIgnoreCase) || name.StartsWith("thirdpartynotice", StringComparison.OrdinalIgnoreCase));

    private static string Store() =>
        Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } store
            ? store
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget/packages");

    private static string? StatedLicence(string folder)
    {
        if (!Directory.Exists(folder) || Directory.EnumerateFiles(folder, "*.nuspec").FirstOrDefault() is not { } file)
            return null;
        var licence = XDocument.Load(file).Descendants().FirstOrDefault(element => element.Name.LocalName == "license");
        return (string?)licence?.Attribute("type") == "expression" ? licence!.Value : null;
    }
}
