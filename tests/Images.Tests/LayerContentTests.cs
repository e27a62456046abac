using System.Formats.Tar;
using System.Security.Cryptography;

namespace Moebius.Images.Tests;

public sealed class LayerContentTests : TemporaryFolder
{
    [Property]
    public bool Layer_depends_on_names_and_contents_alone((byte Name, byte[] Content)[] files)
    {
        var distinct = files.DistinctBy(file => file.Name).ToList();
        var one = new LayerContent();
        foreach (var (name, content) in distinct)
            one.AddFile($"opt/{name % 3}/{name}", content);
        var other = new LayerContent();
        foreach (var (name, content) in distinct.AsEnumerable().Reverse())
            other.AddFile($"opt/{name % 3}/{name}", content);
        return Digest(one) == Digest(other);
    }

    [Fact]
    public void Times_and_owners_of_files_do_not_matter()
    {
        var file = Write("a", "content");
        var before = Digest(FromFile(file));
        File.SetLastWriteTimeUtc(file, DateTime.UnixEpoch.AddYears(40));
        File.SetUnixFileMode(file, UnixFileMode.UserRead);

        Assert.Equal(before, Digest(FromFile(file)));

        static LayerContent FromFile(string file) => new LayerContent().AddFile("a", () => File.OpenRead(file));
    }

    [Fact]
    public async Task Entries_are_sorted_with_their_directories_and_belong_to_nobody_but_whom_they_name()
    {
        var layer = new LayerContent()
            .AddFile("usr/bin/moebius", "program"u8.ToArray(), LayerContent.Program)
            .AddLink("bin", "usr/bin")
            .AddDirectory("var/lib/moebius", owner: 65532)
            .AddFile("etc/passwd", "root"u8.ToArray());

        var entries = await ReadAsync(layer);

        Assert.Equal(["bin", "etc/", "etc/passwd", "usr/", "usr/bin/", "usr/bin/moebius", "var/", "var/lib/", "var/lib/moebius/"], entries.Select(entry => entry.Name));
        Assert.All(entries, entry => Assert.Equal(LayerContent.FileTime, entry.ModificationTime));
        Assert.Equal(["var/lib/moebius/"], entries.Where(entry => entry.Uid != 0).Select(entry => entry.Name));
        Assert.Equal("usr/bin", entries[0].LinkName);
        Assert.Equal((UnixFileMode)0b111_101_101, entries.Single(entry => entry.Name == "usr/bin/moebius").Mode);
        Assert.Equal((UnixFileMode)0b110_100_100, entries.Single(entry => entry.Name == "etc/passwd").Mode);
    }

    [Theory]
    [InlineData("/etc/passwd")]
    [InlineData("../etc")]
    [InlineData("a//b")]
    [InlineData("a/./b")]
    [InlineData("")]
    public void Path_that_leaves_the_image_is_refused(string path) =>
        Assert.Contains("no path inside an image", Assert.Throws<ImageException>(() => new LayerContent().AddFile(path, [])).Message, StringComparison.Ordinal);

    [Fact]
    public void File_with_the_rights_of_its_owner_is_refused() =>
        Assert.Throws<ImageException>(() => new LayerContent().AddFile("usr/bin/su", [], LayerContent.Program | UnixFileMode.SetUser));

    [Fact]
    public void Path_that_is_there_already_is_refused()
    {
        var layer = new LayerContent().AddFile("etc/passwd", []);

        Assert.Throws<ImageException>(() => layer.AddLink("etc/passwd", "shadow"));
        Assert.Throws<ImageException>(() => layer.AddFile("etc", []));
    }

    private static string Digest(LayerContent layer)
    {
        using var stream = new MemoryStream();
        layer.WriteAsync(stream, CancellationToken.None).GetAwaiter().GetResult();
        return Convert.ToHexString(SHA256.HashData(stream.ToArray()));
    }

    private static async Task<List<TarEntry>> ReadAsync(LayerContent layer)
    {
        using var stream = new MemoryStream();
        await layer.WriteAsync(stream, CancellationToken.None);
        stream.Position = 0;
        await using var reader = new TarReader(stream);
        List<TarEntry> entries = [];
        while (await reader.GetNextEntryAsync(copyData: true) is { } entry)
            entries.Add(entry);
        return entries;
    }
}
