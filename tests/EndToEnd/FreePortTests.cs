namespace Moebius.EndToEnd;

public sealed class FreePortTests
{
    /// <summary>A test closes its port and the program opens it later: nothing else must be given it in between.</summary>
    [Fact]
    public void Is_none_that_the_kernel_gives_to_whoever_asks_for_any()
    {
        var range = File.ReadAllText("/proc/sys/net/ipv4/ip_local_port_range").Split('\t', StringSplitOptions.TrimEntries).Select(int.Parse).ToArray();
        var ports = Enumerable.Range(0, 20).Select(_ => MoebiusProcess.FreePort()).ToArray();
        Assert.All(ports, port => Assert.NotInRange(port, range[0], range[1]));
        Assert.Equal(ports.Length, ports.Distinct().Count());
    }
}
