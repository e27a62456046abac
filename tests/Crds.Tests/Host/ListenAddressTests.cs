using Moebius.Crds.Host;

namespace Moebius.Crds.Tests.Host;

public sealed class ListenAddressTests
{
    [Theory]
    [InlineData("0.0.0.0:8080", "0.0.0.0:8080")]
    [InlineData("localhost:1", "127.0.0.1:1")]
    [InlineData("127.0.0.1:0", "127.0.0.1:0")]
    [InlineData("[::]:80", "[::]:80")]
    public void An_address_and_a_port_are_read(string text, string expected) => Assert.Equal(expected, ListenAddress.Parse(text, "--listen").ToString());

    [Theory]
    [InlineData("")]
    [InlineData("8080")]
    [InlineData(":8080")]
    [InlineData("0.0.0.0")]
    [InlineData("0.0.0.0:99999")]
    [InlineData("localhost")]
    [InlineData("host.example:8080")]
    [InlineData("::1")]
    [InlineData("[::1]")]
    [InlineData("::1:0")]
    [InlineData("::1:8000x")]
    public void Other_texts_are_refused(string text) =>
        Assert.StartsWith($"--listen: '{text}'", Assert.Throws<UserInputException>(() => ListenAddress.Parse(text, "--listen")).Message, StringComparison.Ordinal);
}
