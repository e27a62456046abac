using System.Text.Json.Nodes;

namespace Moebius.Images;

/// <summary>
/// The .NET runtime that this build runs on, as a layer. The program depends on it instead of carrying its own copy: that
/// would be as large, and new with every release of the program.
/// </summary>
internal sealed record DotNetRuntime(string Root, string Version)
{
    public const string Folder = "usr/share/dotnet";

    private static readonly string[] Frameworks = ["Microsoft.NETCore.App", "Microsoft.AspNetCore.App"];
    private static readonly string[] Licences = ["LICENSE.txt", "ThirdPartyNotices.txt"];

    /// <summary>The runtime of this process, which is the newest that the SDK brings.</summary>
    public static DotNetRuntime Find()
    {
        // ROOT/shared/Microsoft.NETCore.App/VERSION/System.Private.CoreLib.dll
        var framework = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        var root = Path.GetFullPath(Path.Combine(framework, "../../.."));
        var runtime = new DotNetRuntime(root, Path.GetFileName(framework));
        foreach (var folder in runtime.Folders().Where(folder => !Directory.Exists(Path.Combine(root, folder))))
            throw new ImageException($"the .NET runtime in '{root}' has no folder '{folder}': install the .NET SDK with the ASP.NET Core runtime {runtime.Version}");
        return runtime;
    }

    /// <summary>Whether it can run a published program.</summary>
    /// <exception cref="ImageException">The program asks for another version.</exception>
    public void Check(string runtimeConfig)
    {
        var options = JsonNode.Parse(File.ReadAllText(runtimeConfig))!["runtimeOptions"]!;
        foreach (var framework in options["frameworks"]?.AsArray() ?? [options["framework"]!.DeepClone()])
        {
            var asked = System.Version.Parse((string)framework!["version"]!);
            var there = System.Version.Parse(Version);
            if (asked.Major != there.Major || asked > there)
                throw new ImageException($"the program asks for {framework["name"]} {asked}, and this machine has {there}: update the .NET SDK");
        }
    }

    public LayerContent Layer()
    {
        var layer = new LayerContent();
        foreach (var file in Folders().SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root, folder), "*", SearchOption.AllDirectories)))
        {
            var path = Path.GetRelativePath(Root, file);
            layer.AddFile($"{Folder}/{path}", () => File.OpenRead(file), Path.GetFileName(path) == "createdump" ? LayerContent.Program : LayerContent.File);
        }

        foreach (var name in Licences.Where(name => File.Exists(Path.Combine(Root, name))))
            layer.AddFile($"{Folder}/{name}", () => File.OpenRead(Path.Combine(Root, name)));
        return layer;
    }

    private IEnumerable<string> Folders() => Frameworks.Select(name => $"shared/{name}/{Version}").Prepend($"host/fxr/{Version}");
}
