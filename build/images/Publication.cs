using System.Text.Json.Nodes;

namespace Moebius.Images;

/// <summary>The program as <c>dotnet publish</c> leaves it, and its dependencies.</summary>
internal sealed class Publication
{
    public const string Folder = "opt/moebius";

    private const string DepsFile = "moebius.deps.json";

    private readonly string _folder;
    private readonly JsonObject _deps;

    private Publication(string folder, JsonObject deps)
    {
        _folder = folder;
        _deps = deps;
    }

    /// <summary>The file that says which runtime the program wants.</summary>
    public string RuntimeConfig => Path.Combine(_folder, "moebius.runtimeconfig.json");

    /// <summary>NuGet packages of the program.</summary>
    public IEnumerable<NuGetPackage> Packages =>
        from library in _deps["libraries"]!.AsObject()
        where (string?)library.Value!["type"] == "package"
        select NuGetPackage.Parse(library.Key, library.Value!.AsObject());

    /// <summary>
    /// Builds the program for the images: without debug files, and without the paths of this machine in it. Those of
    /// generated files count too, as the compiler names a type that is local to its file after them.
    /// </summary>
    public static async Task<Publication> CreateAsync(string repository, string work, CancellationToken cancellationToken)
    {
        var output = Path.Combine(work, "app");
        if (Directory.Exists(output))
            Directory.Delete(output, recursive: true);
        var build = Path.Combine(work, "build");
        var log = await Shell.RunAsync(
            "dotnet",
            [
                "publish", Path.Combine(repository, "cli/Moebius.Cli.csproj"), "-c", "Release", "-r", "linux-x64", "--self-contained", "false",
                "--artifacts-path", build, "-o", output, "-v", "quiet", "-clp:NoSummary",
                "-p:DebugType=none", "-p:PublishDocumentationFiles=false", $"-p:PathMap={build}=/moebius-build%2c{repository.TrimEnd('/')}=/moebius",
            ],
            cancellationToken);
        Console.Error.Write(log);
        return Open(output);
    }

    /// <summary>A folder that <see cref="CreateAsync"/> made.</summary>
    public static Publication Open(string folder)
    {
        var file = Path.Combine(folder, DepsFile);
        return File.Exists(file)
            ? new Publication(folder, JsonNode.Parse(File.ReadAllText(file))!.AsObject())
            : throw new ImageException($"'{folder}' holds no {DepsFile}: name a folder that 'dotnet publish' of cli/Moebius.Cli.csproj wrote");
    }

    /// <summary>The layer of all that every image has: everything but sorted native libraries and the list of dependencies.</summary>
    public LayerContent CommonLayer()
    {
        var layer = new LayerContent().AddLink("usr/bin/moebius", "../../opt/moebius/moebius");
        var sorted = Natives().Where(native => Catalog.SortedNative.Contains(native.Package)).Select(native => native.File).ToHashSet(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(_folder, "*", SearchOption.AllDirectories))
        {
            var path = Path.GetRelativePath(_folder, file);
            if (path != DepsFile && !sorted.Contains(Path.GetFileName(path)))
                layer.AddFile($"{Folder}/{path}", () => File.OpenRead(file), path == "moebius" ? LayerContent.Program : LayerContent.File);
        }

        return layer;
    }

    /// <summary>
    /// Adds the native libraries of one image with the licences of what they hold, and a list of dependencies that names no
    /// others: the host refuses to start a program whose list names a file that is not there.
    /// </summary>
    public void AddOwn(LayerContent layer, ImageDefinition image)
    {
        var own = _deps.DeepClone().AsObject();
        foreach (var (package, file) in Natives())
        {
            if (!Catalog.SortedNative.Contains(package))
                continue;
            if (image.Native.Contains(package))
                layer.AddFile($"{Folder}/{file}", () => File.OpenRead(Path.Combine(_folder, file)));
            else
                Remove(own, package, file);
        }

        foreach (var package in Packages.Where(package => image.Native.Contains(package.Name)))
        {
            foreach (var notice in package.Notices)
                layer.AddFile($"usr/share/doc/{package.Name}/{Path.GetFileName(notice)}", () => File.OpenRead(notice));
        }

        layer.AddFile($"{Folder}/{DepsFile}", System.Text.Encoding.UTF8.GetBytes(own.ToJsonString(new() { WriteIndented = true }) + "\n"));
    }

    /// <summary>Whether an image holds anything of a package.</summary>
    public bool Has(ImageDefinition image, NuGetPackage package) =>
        !Catalog.SortedNative.Contains(package.Name) || image.Native.Contains(package.Name) || HasManaged(package);

    private bool HasManaged(NuGetPackage package) =>
        Targets(_deps).Any(target => target[$"{package.Name}/{package.Version}"]?["runtime"] is JsonObject { Count: > 0 });

    /// <summary>The native libraries that were published, each with the package that it comes from.</summary>
    private IEnumerable<(string Package, string File)> Natives() =>
        from target in Targets(_deps)
        from library in target
        from native in library.Value!["native"]?.AsObject() ?? []
        let file = Path.GetFileName(native.Key)
        where File.Exists(Path.Combine(_folder, file))
        select (library.Key.Split('/')[0], file);

    private static void Remove(JsonObject deps, string package, string file)
    {
        foreach (var library in Targets(deps).SelectMany(target => target).Where(library => library.Key.Split('/')[0] == package))
        {
            if (library.Value!["native"] is not JsonObject natives)
                continue;
            foreach (var key in natives.Select(native => native.Key).Where(key => Path.GetFileName(key) == file).ToList())
                natives.Remove(key);
        }
    }

    private static IEnumerable<JsonObject> Targets(JsonObject deps) => deps["targets"]!.AsObject().Select(target => target.Value!.AsObject());
}
