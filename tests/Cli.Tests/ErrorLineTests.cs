namespace Moebius.Cli.Tests;

public sealed class ErrorLineTests
{
    [Fact]
    public void A_name_out_of_a_file_cannot_steer_the_terminal() =>
        Assert.Equal("moebius: tensor \"a b\uFFFD[31mc\uFFFD\" is unknown", ErrorLine.Of("tensor \"a\nb\u001b[31mc\0\" is unknown"));

    [Fact]
    public void A_name_of_a_megabyte_is_not_shown_whole()
    {
        var line = ErrorLine.Of($"tensor \"{new string('x', 1_000_000)}\" is unknown");
        Assert.StartsWith("moebius: tensor \"xxx", line, StringComparison.Ordinal);
        Assert.EndsWith("xxx\" is unknown", line, StringComparison.Ordinal);
        Assert.InRange(line.Length, 4000, 4050);
    }
}
