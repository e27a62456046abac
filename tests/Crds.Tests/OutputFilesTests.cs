namespace Moebius.Crds.Tests;

public sealed class OutputFilesTests
{
    [Theory]
    [InlineData("/none/such/file", "--out: /none/such/file cannot be written: there is no directory /none/such")]
    [InlineData("/", "--out: / is a directory: name a file in it")]
    [InlineData("/proc/moebius", "--out: /proc/moebius cannot be written: ")]
    public void A_place_that_cannot_be_written_is_named(string path, string expected) =>
        Assert.StartsWith(expected, Assert.Throws<UserInputException>(() => OutputFiles.Write("--out", path, "text")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_directory_is_not_a_manifest() =>
        Assert.Equal("/proc: is a directory: name the files in it", Assert.Throws<UserInputException>(() => Manifests.ReadText("/proc")).Message);
}
