namespace Moebius.Crds.Tests;

public sealed class OutputFilesTests
{
    [Theory]
    [InlineData("/none/such/file", "--out: /none/such/file cannot be written: there is no directory /none/such")]
    [InlineData("/", "--out: / is a directory: name a file in it")]
    [InlineData("/proc/moebius", "--out: /proc/moebius cannot be written: ")]
    public void A_place_that_cannot_be_written_is_named(string path, string expected) =>
        Assert.StartsWith(expected, Assert.Throws<UserInputException>(() => OutputFiles.Write("--out", path, "text")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("/dev/null", "--out: /dev/null is a device, a pipe or a socket: name a file")]
    [InlineData("/", "--out: / is a directory: name a file in it")]
    public void A_device_is_not_replaced_by_a_file(string path, string expected) =>
        Assert.Equal(expected, Assert.Throws<UserInputException>(() => OutputFiles.CheckReplaceable("--out", path)).Message);

    [Fact]
    public void A_file_is_replaced_and_nothing_need_be_there()
    {
        OutputFiles.CheckReplaceable("--out", typeof(OutputFilesTests).Assembly.Location);
        OutputFiles.CheckReplaceable("--out", Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N")));
    }

    [Fact]
    public void A_directory_is_not_a_manifest() =>
        Assert.Equal("/proc: is a directory: name the files in it", Assert.Throws<UserInputException>(() => Manifests.ReadText("/proc")).Message);

    [Theory]
    [InlineData("a: \u00ff", "is not UTF-8: save it as such")]
    [InlineData("a: 1\0b", "has a NUL character, which YAML does not allow")]
    public void A_manifest_of_other_bytes_than_text_is_refused(string content, string expected)
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        File.WriteAllBytes(path, System.Text.Encoding.Latin1.GetBytes(content));
        try
        {
            Assert.Equal($"{path}: {expected}", Assert.Throws<UserInputException>(() => Manifests.ReadText(path)).Message);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_manifest_without_an_end_is_refused() =>
        Assert.Equal("/dev/zero: has more than 64 MiB: split it", Assert.Throws<UserInputException>(() => Manifests.ReadText("/dev/zero")).Message);
}
