using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Topology;

public class WeightedInterleaveTests
{
    private const string Folder = "kernel/mm/mempolicy/weighted_interleave";

    [Fact]
    public void Weights_are_set_and_put_back()
    {
        using var sysfs = new SysfsFixture("ddr-only", $"{Folder}/node0 = 7");
        var interleave = new WeightedInterleave(sysfs.Root);
        interleave.Apply(new Dictionary<int, int> { [0] = 3, [1] = 2 });
        interleave.Apply(new Dictionary<int, int> { [0] = 9 });
        Assert.Equal("9", sysfs[$"{Folder}/node0"]);
        Assert.Equal("2", sysfs[$"{Folder}/node1"]);
        interleave.Restore();
        Assert.Equal("7", sysfs[$"{Folder}/node0"]);
        Assert.Equal("1", sysfs[$"{Folder}/node1"]);
    }

    [Theory]
    [InlineData("auto")]
    [InlineData("__auto_type")]
    public void The_kernels_own_computation_is_switched_on_again(string name)
    {
        using var sysfs = new SysfsFixture("ddr-only", $"{Folder}/{name} = true");
        var interleave = new WeightedInterleave(sysfs.Root);
        interleave.Apply(new Dictionary<int, int> { [0] = 3 });
        // What the kernel does on a write of a weight.
        sysfs.Add($"{Folder}/{name} = false");
        interleave.Restore();
        Assert.Equal("true", sysfs[$"{Folder}/{name}"]);
    }

    [Fact]
    public void An_unknown_node_or_weight_changes_nothing()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        var interleave = new WeightedInterleave(sysfs.Root);
        Assert.Contains("node7", Assert.Throws<IOException>(() => interleave.Apply(new Dictionary<int, int> { [0] = 3, [7] = 2 })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => interleave.Apply(new Dictionary<int, int> { [0] = 0 }));
        Assert.Equal("1", sysfs[$"{Folder}/node0"]);
    }

    [Fact]
    public void A_kernel_without_it_is_said()
    {
        using var sysfs = new SysfsFixture("cxl-two-way");
        var error = Assert.Throws<IOException>(() => new WeightedInterleave(sysfs.Root).Apply(new Dictionary<int, int> { [0] = 3 }));
        Assert.Contains("6.9", error.Message, StringComparison.Ordinal);
    }
}
