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
}
