using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Topology;

public sealed class WeightedInterleaveTests : IDisposable
{
    private const string Folder = "kernel/mm/mempolicy/weighted_interleave";
    private readonly string _state = Directory.CreateTempSubdirectory("moebius-state-").FullName;
    private WeightRecord _record;

    public WeightedInterleaveTests() => _record = Open();

    public void Dispose()
    {
        _record.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    private WeightRecord Open(string procfs = "/proc") => WeightRecord.TryOpen(_state, procfs)!;

    [Fact]
    public void Weights_are_set_and_put_back()
    {
        using var sysfs = new SysfsFixture("ddr-only", $"{Folder}/node0 = 7");
        var interleave = new WeightedInterleave(sysfs.Root, _record);
        interleave.Apply(new Dictionary<int, int> { [0] = 3, [1] = 2 });
        interleave.Apply(new Dictionary<int, int> { [0] = 9 });
        Assert.Equal("9", sysfs[$"{Folder}/node0"]);
        Assert.Equal("1", sysfs[$"{Folder}/node1"]);
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
        var interleave = new WeightedInterleave(sysfs.Root, _record);
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
        var interleave = new WeightedInterleave(sysfs.Root, _record);
        Assert.Contains("node7", Assert.Throws<IOException>(() => interleave.Apply(new Dictionary<int, int> { [0] = 3, [7] = 2 })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => interleave.Apply(new Dictionary<int, int> { [0] = 0 }));
        Assert.Equal("1", sysfs[$"{Folder}/node0"]);
    }

    [Fact]
    public void A_kernel_without_it_is_said()
    {
        using var sysfs = new SysfsFixture("cxl-two-way");
        var error = Assert.Throws<IOException>(() => new WeightedInterleave(sysfs.Root, _record).Apply(new Dictionary<int, int> { [0] = 3 }));
        Assert.Contains("6.9", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_killed_agent_left_is_put_back_by_the_next_one()
    {
        using var sysfs = new SysfsFixture("ddr-only", $"{Folder}/node0 = 7", $"{Folder}/auto = true");
        var killed = new WeightedInterleave(sysfs.Root, _record);
        killed.Apply(new Dictionary<int, int> { [0] = 3 });
        killed.Apply(new Dictionary<int, int> { [1] = 2 });
        sysfs.Add($"{Folder}/auto = false");
        _record.Dispose();

        _record = Open();
        var next = new WeightedInterleave(sysfs.Root, _record);
        Assert.Equal(new Dictionary<int, int> { [0] = 7, [1] = 1 }, next.RestoreLeft());
        Assert.Equal(("7", "1", "true"), (sysfs[$"{Folder}/node0"], sysfs[$"{Folder}/node1"], sysfs[$"{Folder}/auto"]));
        Assert.Null(next.RestoreLeft());
    }

    [Fact]
    public void Nothing_is_left_after_an_orderly_end_or_another_boot()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        using var procfs = new SysfsFixture("ddr-only", "sys/kernel/random/boot_id = another");
        var interleave = new WeightedInterleave(sysfs.Root, _record);
        interleave.Apply(new Dictionary<int, int> { [0] = 3 });
        interleave.Restore();
        Assert.Null(_record.Read());

        interleave.Apply(new Dictionary<int, int> { [0] = 3 });
        _record.Dispose();
        _record = Open(procfs.Root);
        Assert.Null(new WeightedInterleave(sysfs.Root, _record).RestoreLeft());
        Assert.Equal("3", sysfs[$"{Folder}/node0"]);
    }

    [Fact]
    public void One_agent_at_a_time_holds_the_record()
    {
        Assert.Null(WeightRecord.TryOpen(_state, "/proc"));
        _record.Dispose();
        _record = Open();
        Assert.Null(_record.Read());
    }

    [Theory]
    [InlineData("{\"boot\":\"x\",\"weights\":{\"0\":256}}", "node 0 has the weight 256")]
    [InlineData("{\"boot\":\"x\",\"weights\":{\"0\":0}}", "node 0 has the weight 0")]
    [InlineData("{\"boot\":\"x\",\"weights\":{\"-1\":7}}", "node -1 has the weight 7")]
    [InlineData("{\"boot\":\"x\",\"weights\":{\"x\":1}}", "$.weights.x")]
    [InlineData("{\"boot\":\"x\",\"weights\":null}", "boot or weights are null")]
    [InlineData("{\"boot\":\"x\"}", "weights")]
    [InlineData("{\"weights\":{}}", "boot")]
    [InlineData("{\"boot\":\"x\",\"automatic\":\"perhaps\",\"weights\":{}}", "automatic")]
    [InlineData("null", "boot or weights are null")]
    [InlineData("boot x\nnode 0 7\n", "'b' is an invalid start")]
    [InlineData("", "makes no sense")]
    public void A_record_that_makes_no_sense_changes_nothing_and_is_said(string text, string why)
    {
        using var sysfs = new SysfsFixture("ddr-only", $"{Folder}/node0 = 9");
        var path = Path.Combine(_state, "interleave-weights");
        File.WriteAllText(path, text);
        var message = Assert.Throws<IOException>(() => new WeightedInterleave(sysfs.Root, _record).RestoreLeft()).Message;
        Assert.StartsWith($"{path} makes no sense (", message, StringComparison.Ordinal);
        Assert.Contains(why, message, StringComparison.Ordinal);
        Assert.Equal("9", sysfs[$"{Folder}/node0"]);
    }
}
