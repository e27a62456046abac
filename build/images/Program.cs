using System.CommandLine;
using System.Globalization;
using Moebius.Images;

var output = new Option<string>("--output", "-o") { Description = "Folder for the images.", Required = true };
var registry = new Option<string>("--registry") { Description = "What comes before the images' names, such as registry.example/team.", DefaultValueFactory = _ => "docker.io/library" };
var application = new Option<string?>("--application") { Description = "The published program, from the folder work/app of an earlier build; without it, it is published now." };
var root = new RootCommand("Builds the OCI images of Moebius, without a container engine and without a registry.") { output, registry, application };
root.SetAction(async (parsed, cancellationToken) =>
{
    var repository = Repository();
    var build = await ImageBuild.OfCheckoutAsync(repository, Path.GetFullPath(parsed.GetValue(output)!), parsed.GetValue(registry)!.TrimEnd('/'), parsed.GetValue(application), cancellationToken);
    foreach (var image in await build.RunAsync(cancellationToken))
        Console.WriteLine($"{image.Reference}  {image.Digest}  {Megabytes(image.DownloadSize)} to download, {Megabytes(image.UnpackedSize)} unpacked");
    Console.WriteLine($"All of them: {build.Archive}, {Megabytes(new FileInfo(build.Archive).Length)} (ctr -n k8s.io images import {Path.GetRelativePath(repository, build.Archive)})");
    return 0;
});

var arguments = root.Parse(args);
try
{
    return await arguments.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (ImageException error)
{
    await Console.Error.WriteLineAsync($"images: {error.Message}");
    return 1;
}

static string Megabytes(long bytes) => $"{(bytes / 1e6).ToString("0.0", CultureInfo.InvariantCulture)} MB";

static string Repository()
{
    for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
    {
        if (File.Exists(Path.Combine(folder.FullName, "Moebius.slnx")))
            return folder.FullName;
    }

    throw new ImageException($"no folder above {AppContext.BaseDirectory} is a checkout of Moebius");
}
