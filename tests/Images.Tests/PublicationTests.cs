using System.Text.Json.Nodes;

namespace Moebius.Images.Tests;

/// <summary>What of a published program goes where.</summary>
public sealed class PublicationTests : TemporaryFolder
{
    private const string Deps = """
        {
          "targets": {
            ".NETCoreApp,Version=v10.0": {},
            ".NETCoreApp,Version=v10.0/linux-x64": {
              "moebius/0.1.0": {"runtime": {"moebius.dll": {}}},
              "Microsoft.ML.OnnxRuntime/1.31.1": {"runtime": {"lib/net8.0/OnnxRuntime.dll": {}}, "native": {"runtimes/linux-x64/native/libonnxruntime.so": {}, "runtimes/linux-x64/native/libonnxruntime_providers_shared.so": {}}},
              "SQLite/3.13.0": {"native": {"runtimes/linux-x64/native/libsqlite.so": {}}},
              "Other/1.0.0": {"native": {"runtimes/linux-x64/native/libother.so": {}}}
            }
          },
          "libraries": {
            "moebius/0.1.0": {"type": "project", "sha512": ""},
            "Microsoft.ML.OnnxRuntime/1.31.1": {"type": "package", "sha512": "sha512-AAEC"},
            "SQLite/3.13.0": {"type": "package", "sha512": "sha512-AwQF"},
            "Other/1.0.0": {"type": "package", "sha512": "sha512-BgcI"}
          }
        }
        """;

    private static readonly ImageDefinition Operator = Catalog.Images.Single(image => image.Name == "moebius-operator");
    private static readonly ImageDefinition Optimizer = Catalog.Images.Single(image => image.Name == "moebius-prompt-optimizer");
    private static readonly ImageDefinition Inference = Catalog.Images.Single(image => image.Name == "moebius-inference");

    [Fact]
    public void Common_layer_has_what_nobody_sorted()
    {
        var paths = Open().CommonLayer().Paths;

        Assert.Contains("opt/moebius/moebius.dll", paths);
        Assert.Contains("opt/moebius/OnnxRuntime.dll", paths);
        Assert.Contains("opt/moebius/libother.so", paths);
        Assert.DoesNotContain("opt/moebius/libonnxruntime.so", paths);
        Assert.DoesNotContain("opt/moebius/libsqlite.so", paths);
        Assert.DoesNotContain("opt/moebius/moebius.deps.json", paths);
    }

    [Fact]
    public async Task Operator_has_no_sorted_library_and_does_not_ask_for_it()
    {
        var (paths, natives) = await OwnAsync(Operator);

        Assert.Equal(["opt/moebius/moebius.deps.json"], paths);
        Assert.Equal(["libother.so"], natives);
    }

    [Fact]
    public async Task Inference_has_its_own_libraries_and_no_others()
    {
        var (paths, natives) = await OwnAsync(Inference);

        Assert.Equal(["opt/moebius/libonnxruntime.so", "opt/moebius/libonnxruntime_providers_shared.so", "opt/moebius/moebius.deps.json"], paths);
        Assert.Equal(["libonnxruntime.so", "libonnxruntime_providers_shared.so", "libother.so"], natives);
    }

    /// <summary>The libraries are made of others' code, whose licences ask to be with it.</summary>
    [Fact]
    public async Task Native_libraries_come_with_the_licences_of_their_package()
    {
        foreach (var file in new[] { "LICENSE", "ThirdPartyNotices.txt", "README.md", "lib/LICENSE" })
            Write("packages/onnx/" + file, file);
        var deps = Deps.Replace("\"sha512-AAEC\"", $"\"sha512-AAEC\", \"path\": \"{At("packages/onnx")}\"", StringComparison.Ordinal);
        var (inference, _) = await OwnAsync(Inference, deps);
        var (others, _) = await OwnAsync(Operator, deps);

        Assert.Equal(
            ["usr/share/doc/Microsoft.ML.OnnxRuntime/LICENSE", "usr/share/doc/Microsoft.ML.OnnxRuntime/ThirdPartyNotices.txt"],
            inference.Where(path => path.StartsWith("usr/share/doc/", StringComparison.Ordinal)));
        Assert.DoesNotContain(others, path => path.StartsWith("usr/share/doc/", StringComparison.Ordinal));
    }

    [Fact]
    public void Bill_names_the_packages_that_an_image_has_something_of()
    {
        var publication = Open();

        Assert.Equal(["Microsoft.ML.OnnxRuntime", "Other"], publication.Packages.Where(package => publication.Has(Operator, package)).Select(package => package.Name).Order());
        Assert.Equal(["Microsoft.ML.OnnxRuntime", "Other", "SQLite"], publication.Packages.Where(package => publication.Has(Optimizer, package)).Select(package => package.Name).Order());
        Assert.Equal("000102", publication.Packages.Single(package => package.Name == "Microsoft.ML.OnnxRuntime").Sha512);
    }

    [Fact]
    public void Bill_is_the_same_for_the_same_image_and_another_for_another()
    {
        var publication = Open();

        var first = JsonNode.Parse(Bill("sha256:00"))!;
        Assert.Equal(Bill("sha256:00"), Bill("sha256:00"));
        Assert.NotEqual((string?)first["serialNumber"], (string?)JsonNode.Parse(Bill("sha256:01"))!["serialNumber"]);
        Assert.Equal("pkg:oci/moebius-operator@sha256%3A00?arch=amd64&tag=0.1.0", (string?)first["metadata"]!["component"]!["purl"]);
        Assert.Equal(
            ["pkg:deb/debian/libc6@1%3A2.41-12%2Bdeb13u1?arch=amd64&distro=trixie&upstream=glibc", "pkg:generic/dotnet-runtime@10.0.12", "pkg:nuget/Other@1.0.0"],
            first["components"]!.AsArray().Select(component => (string)component!["purl"]!));

        string Bill(string digest) => Sbom.Write(
            Operator,
            "0.1.0",
            digest,
            DateTimeOffset.UnixEpoch,
            [new DebianPackage("libc6.deb", "Package: libc6\nSource: glibc\nVersion: 1:2.41-12+deb13u1\nArchitecture: amd64\n", "00")],
            publication.Packages.Where(package => package.Name == "Other"),
            "10.0.12");
    }

    [Fact]
    public void Folder_without_a_program_is_an_error() => Assert.Contains("moebius.deps.json", Assert.Throws<ImageException>(() => Publication.Open(At("nothing"))).Message, StringComparison.Ordinal);

    private Publication Open(string deps = Deps)
    {
        Write("app/moebius.deps.json", deps);
        foreach (var file in new[] { "moebius", "moebius.dll", "OnnxRuntime.dll", "libonnxruntime.so", "libonnxruntime_providers_shared.so", "libsqlite.so", "libother.so" })
            Write("app/" + file, file);
        return Publication.Open(At("app"));
    }

    private async Task<(List<string> Files, List<string> Natives)> OwnAsync(ImageDefinition image, string depsFile = Deps)
    {
        var layer = new LayerContent();
        Open(depsFile).AddOwn(layer, image);
        using var archive = new MemoryStream();
        await layer.WriteAsync(archive, CancellationToken.None);
        archive.Position = 0;
        await System.Formats.Tar.TarFile.ExtractToDirectoryAsync(archive, Directory.CreateDirectory(At(image.Name)).FullName, overwriteFiles: true);
        var deps = JsonNode.Parse(await File.ReadAllTextAsync(At($"{image.Name}/opt/moebius/moebius.deps.json")))!;
        return (
            [.. layer.Paths.Where(path => File.Exists(At($"{image.Name}/{path}")))],
            [.. deps["targets"]!.AsObject().SelectMany(target => target.Value!.AsObject()).SelectMany(library => library.Value!["native"]?.AsObject() ?? []).Select(native => Path.GetFileName(native.Key)).Order(StringComparer.Ordinal)]);
    }
}
