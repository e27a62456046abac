using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Topology;

/// <summary>What a real kernel shows for an emulated CXL device.</summary>
public sealed class EmulatedMachineTests : IDisposable
{
    private readonly SysfsFixture _sysfs = new("cxl-emulated");
    private readonly NodeTopology _topology;

    public EmulatedMachineTests() => _topology = TopologyReader.Read(_sysfs.Root);

    public void Dispose() => _sysfs.Dispose();

    [Fact]
    public void The_node_that_kmem_made_of_the_region_is_cxl_with_the_regions_figures()
    {
        var node = Assert.Single(_topology.CxlNodes);
        Assert.Equal((3, 512L << 20, 130), (node.Id, node.MemoryBytes, node.Tier));
        Assert.Equal(["region0"], node.Regions);
        Assert.Null(node.Access0);
        Assert.Equal(new MemoryAccess(16000, 16000, 352, 462), node.Performance);
    }

    [Fact]
    public void The_hmat_node_without_processors_is_memory_only_and_not_cxl()
    {
        var node = _topology.Nodes.Single(node => node.Id == 1);
        Assert.Equal(NumaNodeKind.MemoryOnly, node.Kind);
        Assert.Equal(new MemoryAccess(32768, 24576, 250, 300), node.Access0);
    }

    [Fact]
    public void Bus_and_weights_are_complete_and_nothing_is_misunderstood()
    {
        Assert.Equal("mem0", Assert.Single(_topology.MemoryDevices).Name);
        Assert.Equal(["decoder0.0", "decoder1.0", "decoder2.0", "decoder2.1", "decoder2.2", "decoder2.3"], _topology.Decoders.Select(decoder => decoder.Name));
        Assert.Equal(new DaxDevice("dax0.0", 512L << 20, 3, "kmem", "region0"), Assert.Single(_topology.DaxDevices));
        Assert.Equal("ram", Assert.Single(_topology.Regions).Mode);
        Assert.Equal(true, _topology.WeightedInterleave!.Automatic);
        Assert.Equal([0, 1, 3], _topology.WeightedInterleave.Weights.Keys.Order());
        Assert.Empty(_topology.Warnings);
    }

    [Fact]
    public void Weights_follow_the_bandwidth_more_closely_than_the_kernels_own()
    {
        var plan = InterleavePlanner.Plan(_topology, new MemoryPolicySpec());
        Assert.Null(plan.Obstacle);
        var (wanted, ours, kernels) = (102400 / 16000.0, Ratio(plan.Weights), Ratio(_topology.WeightedInterleave!.Weights));
        Assert.Equal(wanted, ours, 0.2);
        Assert.True(Math.Abs(ours - wanted) < Math.Abs(kernels - wanted), $"{ours} and {kernels} for {wanted}");

        static double Ratio(IReadOnlyDictionary<int, int> weights) => weights[0] / (double)weights[3];
    }
}
