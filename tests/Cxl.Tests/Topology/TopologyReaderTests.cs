using Moebius.Crds;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Topology;

public class TopologyReaderTests
{
    [Fact]
    public void A_machine_without_cxl_has_processors_and_memory_only()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        var topology = TopologyReader.Read(sysfs.Root);
        Assert.Equal([0, 1], topology.Nodes.Select(node => node.Id));
        Assert.All(topology.Nodes, node => Assert.Equal(NumaNodeKind.Processors, node.Kind));
        Assert.Equal([0, 1, 2, 3, 8, 9, 10, 11], topology.Nodes[0].Cpus);
        Assert.Equal(32L << 30, topology.Nodes[0].MemoryBytes);
        Assert.Equal([21, 10], topology.Nodes[1].Distances);
        Assert.Null(topology.Nodes[0].Performance);
        Assert.Empty(topology.CxlNodes);
        Assert.Empty(topology.MemoryOnlyNodes);
        Assert.Empty(topology.Warnings);
        Assert.Equal(1, topology.WeightedInterleave!.Weights[1]);
        Assert.Null(topology.WeightedInterleave.Automatic);
    }

    [Fact]
    public void A_region_that_firmware_handed_over_is_found_by_its_address()
    {
        using var sysfs = new SysfsFixture("cxl-two-way");
        var topology = TopologyReader.Read(sysfs.Root);
        Assert.Equal([NumaNodeKind.Processors, NumaNodeKind.MemoryOnly, NumaNodeKind.Cxl], topology.Nodes.Select(node => node.Kind));
        Assert.Equal(["region0"], topology.Nodes[2].Regions);
        // The node has no HMAT class of its own: the region's figures stand in, and 0 means "not said".
        Assert.Equal(new MemoryAccess(60000, 50000, 280, null), topology.Nodes[2].Performance);
        Assert.Equal(2, topology.MemoryOnlyNodes.Count());
        Assert.Null(topology.WeightedInterleave);
    }

    [Fact]
    public void Class_1_comes_before_class_0()
    {
        using var sysfs = new SysfsFixture("cxl-two-way");
        var hbm = TopologyReader.Read(sysfs.Root).Nodes[1];
        Assert.Equal(800000, hbm.Access0!.ReadBandwidth);
        Assert.Equal(700000, hbm.Performance!.ReadBandwidth);
        Assert.Equal([0], hbm.Initiators);
        Assert.Equal(22, hbm.Tier);
    }

    [Fact]
    public void Devices_decoders_and_regions_are_read_in_natural_order()
    {
        using var sysfs = new SysfsFixture("cxl-two-way");
        var topology = TopologyReader.Read(sysfs.Root);
        Assert.Equal(new CxlMemoryDevice("mem0", "0x1111", 32L << 30, 0, 0, "1.2.3"), topology.MemoryDevices[0]);
        Assert.Null(topology.MemoryDevices[1].NumaNode);
        Assert.Equal(["decoder0.0", "decoder3.0", "decoder4.0", "decoder10.0"], topology.Decoders.Select(decoder => decoder.Name));
        Assert.Equal([CxlDecoderKind.Root, CxlDecoderKind.Endpoint, CxlDecoderKind.Endpoint, CxlDecoderKind.Switch], topology.Decoders.Select(decoder => decoder.Kind));
        Assert.Equal("region0", topology.Decoders[1].Region);
        Assert.Null(topology.Decoders[2].Start);
        var region = Assert.Single(topology.Regions);
        Assert.Equal(["decoder3.0", "decoder4.0"], region.Targets);
        Assert.Equal(0x2000000000UL, region.Start);
        Assert.True(region.Committed);
    }

    [Fact]
    public void An_uncommitted_region_makes_no_cxl_node()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", "bus/cxl/devices/region0/commit = 0");
        Assert.Empty(TopologyReader.Read(sysfs.Root).CxlNodes);
    }

    [Theory]
    [InlineData("bus/cxl/devices/mem0/ram/size = lots", "bus/cxl/devices/mem0/ram/size: 'lots' is not a number")]
    [InlineData("bus/cxl/devices/region0/interleave_ways = 64", "bus/cxl/devices/region0/interleave_ways: 64 is outside 0 to 32")]
    [InlineData("bus/cxl/devices/region0/resource = 12x", "bus/cxl/devices/region0/resource: '12x' is not an address such as 0x100000000")]
    [InlineData("devices/system/node/node1/cpulist = 3-1", "devices/system/node/node1/cpulist: '3-1' is not a list of numbers such as 0-3,8")]
    [InlineData("devices/system/node/node1/meminfo = Node 1 MemTotal: ? kB", "devices/system/node/node1/meminfo: 'Node 1 MemTotal: ? kB' has no number of kB")]
    [InlineData("kernel/mm/mempolicy/weighted_interleave/node0 = 256", "kernel/mm/mempolicy/weighted_interleave/node0: 256 is outside 1 to 255")]
    public void A_value_that_makes_no_sense_is_a_warning_that_names_the_file(string line, string warning)
    {
        using var sysfs = new SysfsFixture("cxl-two-way", line);
        Assert.Equal([warning], TopologyReader.Read(sysfs.Root).Warnings);
    }

    [Theory]
    [InlineData("devices/system/node", "node99999999999", "99999999999", 1023)]
    [InlineData("devices/system/node", "node1024", "1024", 1023)]
    [InlineData("devices/system/node", "node1x", "1x", 1023)]
    [InlineData("devices/system/node", "node01", "01", 1023)]
    [InlineData("devices/system/node/node1/access0/initiators", "node99999999999", "99999999999", 1023)]
    [InlineData("devices/virtual/memory_tiering", "memory_tier99999999999", "99999999999", int.MaxValue)]
    [InlineData("kernel/mm/mempolicy/weighted_interleave", "node4294967296", "4294967296", 1023)]
    public void A_name_without_a_possible_number_is_left_out_with_a_warning(string directory, string name, string digits, int most)
    {
        using var sysfs = new SysfsFixture("cxl-two-way", $"{directory}/{name}/");
        var topology = TopologyReader.Read(sysfs.Root);
        Assert.Equal([$"{directory}/{name}: is left out: '{digits}' is not a whole number from 0 to {most}"], topology.Warnings);
        Assert.Equal([0, 1, 2], topology.Nodes.Select(node => node.Id));
    }

    [Fact]
    public void A_directory_that_is_no_sysfs_is_refused()
    {
        var error = Assert.Throws<UserInputException>(() => TopologyReader.Read("/proc"));
        Assert.Contains("--sysfs /proc", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void This_machine_can_be_read()
    {
        Assert.SkipUnless(Directory.Exists("/sys/devices/system/node"), "the kernel here has no NUMA nodes in sysfs");
        var topology = TopologyReader.Read("/sys");
        Assert.Contains(topology.Nodes, node => node.Cpus.Count > 0 && node.MemoryBytes > 0);
    }
}
