using Moebius.Crds.Host;

namespace Moebius.Crds.Tests.Host;

public sealed class DurableFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("moebius-durable-").FullName;

    private string File => Path.Combine(_directory, "file");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_file_is_made_and_replaced_and_a_killed_writers_bytes_are_not_in_it()
    {
        DurableFile.Replace(File, static file => file.Write("long text"u8));
        System.IO.File.WriteAllText(File + ".part", "what a killed writer left");
        DurableFile.Replace(File, static file => file.Write("short"u8));
        Assert.Equal("short", System.IO.File.ReadAllText(File));
        Assert.Equal([File], Directory.GetFiles(_directory));
    }

    [Fact]
    public void A_writer_that_fails_leaves_what_was_there()
    {
        DurableFile.Replace(File, static file => file.Write("before"u8));
        Assert.Throws<InvalidOperationException>(() => DurableFile.Replace(File, static file =>
        {
            file.Write("half"u8);
            throw new InvalidOperationException();
        }));
        Assert.Equal("before", System.IO.File.ReadAllText(File));
        Assert.Equal([File], Directory.GetFiles(_directory));
    }

    [Fact]
    public void What_a_writer_threw_is_passed_on_though_nothing_can_be_cleared_away_after_it()
    {
        var folder = Directory.CreateDirectory(Path.Combine(_directory, "gone")).FullName;
        var error = Assert.Throws<InvalidOperationException>(() => DurableFile.Replace(Path.Combine(folder, "file"), _ =>
        {
            Directory.Delete(folder, recursive: true);
            throw new InvalidOperationException("the first");
        }));
        Assert.Equal("the first", error.Message);
    }

    [Fact]
    public void Of_two_that_replace_at_once_the_second_is_told()
    {
        DurableFile.Replace(File, file =>
        {
            Assert.Throws<IOException>(() => DurableFile.Replace(File, static _ => { }));
            file.Write("first"u8);
        });
        Assert.Equal("first", System.IO.File.ReadAllText(File));
    }

    [Fact]
    public void A_directory_that_cannot_be_synced_is_said()
    {
        DurableFile.SyncDirectory(_directory);
        var missing = Path.Combine(_directory, "missing");
        Assert.Contains($"{missing}: its names cannot be written", Assert.Throws<IOException>(() => DurableFile.SyncDirectory(missing)).Message, StringComparison.Ordinal);
    }
}
