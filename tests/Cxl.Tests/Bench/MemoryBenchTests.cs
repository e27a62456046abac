using Moebius.Crds;
using Moebius.Cxl.Bench;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Bench;

[Trait("Category", "Component")]
public class MemoryBenchTests
{
    private static readonly BenchOptions Small = new()
    {
        Threads = 2,
        BytesPerThread = 1 << 20,
        ReadShares = [0, 0.37, 1],
        Duration = TimeSpan.FromMilliseconds(20),
        Repeats = 3,
    };

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Every_share_is_measured_with_its_spread(bool nonTemporal, bool placed)
    {
        using var bench = new MemoryBench(Small with { NonTemporal = nonTemporal, HugePages = placed, Node = placed ? 0 : null });
        var points = bench.Run(TestContext.Current.CancellationToken).ToList();
        Assert.Equal([0, 0.37, 1], points.Select(point => point.ReadShare));
        Assert.All(points, point => Assert.True(point.Minimum > 0 && point.Minimum <= point.Median && point.Median <= point.Maximum, $"{point}"));
    }

    [Fact]
    public void A_node_that_is_not_there_is_refused_by_name() =>
        Assert.Contains("--node 900", Assert.Throws<UserInputException>(() => new MemoryBench(Small with { Node = 900 })).Message, StringComparison.Ordinal);

    [Fact]
    public void Nodes_are_measured_or_it_is_said_which_cannot_be()
    {
        var (bandwidths, failure) = NodeBandwidth.Measure([Node(0)], 0.5);
        Assert.Null(failure);
        Assert.True(bandwidths![0] > 0);
        (bandwidths, failure) = NodeBandwidth.Measure([Node(0), Node(900)], 0.5);
        Assert.Null(bandwidths);
        Assert.Contains("node 900", failure, StringComparison.Ordinal);
    }

    private static NumaNode Node(int id) => new()
    {
        Id = id,
        Kind = NumaNodeKind.Processors,
        Cpus = [],
        MemoryBytes = 1,
        Distances = [],
        Access0 = null,
        Access1 = null,
        Initiators = [],
        Tier = null,
        Regions = [],
        Performance = null,
    };

    [Fact]
    public void A_measurement_that_is_broken_off_leaves_no_thread_in_memory_that_is_gone()
    {
        using var cancel = new CancellationTokenSource();
        // Longer than a wait may be: whatever it ends with, its threads have ended before its memory goes.
        using (var broken = new MemoryBench(Small with { Duration = TimeSpan.FromDays(400) }))
            Assert.Throws<ArgumentOutOfRangeException>(() => broken.Run(cancel.Token).ToList());
        using var bench = new MemoryBench(Small with { Duration = TimeSpan.FromHours(1) });
        cancel.CancelAfter(TimeSpan.FromMilliseconds(50));
        Assert.Throws<OperationCanceledException>(() => bench.Run(cancel.Token).ToList());
    }
}
