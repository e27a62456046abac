namespace Moebius.Cli.Tests;

public sealed class ErrorLineTests
{
    [Fact]
    public void A_name_out_of_a_file_cannot_steer_the_terminal() =>
        Assert.Equal("moebius: tensor \"a b\uFFFD[31mc\uFFFD\" is unknown", ErrorLine.Of("tensor \"a\nb\u001b[31mc\0\" is unknown"));
}
