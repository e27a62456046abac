using System.Text;

namespace Moebius.Images.Tests;

/// <summary>Packages that dpkg-deb itself builds.</summary>
public sealed class DebianPackageTests : TemporaryFolder
{
    private const string Control = """
        Package: sample
        Source: sample-source (2.0)
        Version: 1:2.0-3
        Architecture: all
        Maintainer: nobody <nobody@example.invalid>
        Description: a sample

        """;

    [Fact]
    public async Task Files_come_with_licence_and_control_data_and_without_documentation()
    {
        var package = await BuildAsync();
        var layer = new LayerContent();

        await package.AddToAsync(layer, path => !path.EndsWith(".so.2", StringComparison.Ordinal), CancellationToken.None);

        Assert.Equal(
            ["usr/bin/tool", "usr/lib/libsample.so.1", "usr/share/doc/sample/copyright", "var/lib/dpkg/status.d/sample"],
            layer.Paths.Where(path => !layer.Paths.Any(other => other.StartsWith(path + "/", StringComparison.Ordinal))));
        Assert.Equal(("sample", "1:2.0-3", "all", "sample-source"), (package.Name, package.Version, package.Architecture, package.Source));
    }

    [Fact]
    public async Task Program_that_runs_as_its_owner_loses_that()
    {
        var package = await BuildAsync();

        // A layer refuses such files: that it takes this one says that the bit is gone.
        await package.AddToAsync(new LayerContent(), path => path == "usr/bin/tool", CancellationToken.None);
    }

    [Fact]
    public async Task Contents_are_read()
    {
        var package = await BuildAsync();
        Dictionary<string, string> read = [];

        await package.ReadFilesAsync(path => path.StartsWith("usr/lib/", StringComparison.Ordinal), (path, content) => read[path] = Encoding.UTF8.GetString(content), CancellationToken.None);

        Assert.Equal("library", Assert.Single(read).Value);
    }

    [Fact]
    public async Task Filter_that_matches_nothing_is_an_error()
    {
        var package = await BuildAsync(licence: false);

        var error = await Assert.ThrowsAsync<ImageException>(() => package.AddToAsync(new LayerContent(), path => path == "usr/bin/other", CancellationToken.None));

        Assert.Equal("package sample: none of its files is wanted", error.Message);
    }

    [Fact]
    public async Task File_that_is_no_package_is_an_error() =>
        await Assert.ThrowsAsync<ImageException>(() => DebianPackage.ReadAsync(Write("no.deb", "text"), CancellationToken.None));

    private async Task<DebianPackage> BuildAsync(bool licence = true)
    {
        Write("root/DEBIAN/control", Control);
        var tool = Write("root/usr/bin/tool", "tool");
        File.SetUnixFileMode(tool, LayerContent.Program | UnixFileMode.SetUser);
        Write("root/usr/lib/libsample.so.1", "library");
        File.CreateSymbolicLink(At("root/usr/lib/libsample.so.2"), "libsample.so.1");
        Write("root/usr/share/doc/sample/changelog.gz", "changes");
        Write("root/usr/share/man/man1/tool.1.gz", "manual");
        if (licence)
            Write("root/usr/share/doc/sample/copyright", "free");
        await Shell.RunAsync("dpkg-deb", ["--root-owner-group", "--build", At("root"), At("sample.deb")], CancellationToken.None);
        return await DebianPackage.ReadAsync(At("sample.deb"), CancellationToken.None);
    }
}
