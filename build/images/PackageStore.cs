namespace Moebius.Images;

/// <summary>Debian packages, downloaded by <c>packages.sh</c> into the cache.</summary>
internal static class PackageStore
{
    public static async Task<IReadOnlyDictionary<string, DebianPackage>> FetchAsync(string repository, IEnumerable<string> names, CancellationToken cancellationToken)
    {
        var wanted = names.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        var files = await Shell.RunAsync(Path.Combine(repository, "build/images/packages.sh"), [Catalog.Suite, .. wanted], cancellationToken);
        var packages = new Dictionary<string, DebianPackage>(StringComparer.Ordinal);
        foreach (var file in files.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var package = await DebianPackage.ReadAsync(file, cancellationToken);
            packages[package.Name] = package;
        }

        return packages;
    }
}
