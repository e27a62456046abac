using Moebius.Cxl.Agent;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Tests.Kernel;

public class HostKernelTests
{
    private static readonly HostKernel Able = new() { Release = "6.1.0", HasBtf = true, Capabilities = (1UL << 38) | (1UL << 39), Lockdown = "none", SchedExtState = null, SchedExtScheduler = null };

    [Theory]
    [InlineData("none [integrity] confidentiality", "integrity")]
    [InlineData("[none] integrity confidentiality", "none")]
    [InlineData(null, "none")]
    public void The_lockdown_mode_is_the_one_in_brackets(string? text, string mode) => Assert.Equal(mode, HostKernel.ParseLockdown(text));

    [Fact]
    public void Capabilities_are_the_effective_ones() =>
        Assert.Equal(0xc0UL, HostKernel.ParseCapabilities("Name:\tx\nCapPrm:\tffff\nCapEff:\t00000000000000c0\n"));

    [Fact]
    public void A_loaded_scheduler_is_known_by_name()
    {
        using var sysfs = new SysfsFixture("ddr-only", "kernel/sched_ext/state = enabled", "kernel/sched_ext/root/ops = lavd_1.0");
        Assert.Equal("lavd_1.0", HostKernel.Read(sysfs.Root, "/proc").SchedExtScheduler);
    }

    [Fact]
    public void Bpf_and_perfmon_suffice() => Assert.Null(ObserverLoader.Obstacle(Able, hasObject: true));

    [Fact]
    public void Every_obstacle_has_its_reason()
    {
        Assert.Equal("BPFObjectMissing", ObserverLoader.Obstacle(Able, hasObject: false)!.Value.Reason);
        Assert.Equal("BtfMissing", ObserverLoader.Obstacle(Able with { HasBtf = false }, true)!.Value.Reason);
        Assert.Equal("KernelLockdown", ObserverLoader.Obstacle(Able with { Lockdown = "confidentiality" }, true)!.Value.Reason);
        var (reason, message) = ObserverLoader.Obstacle(Able with { Capabilities = 1UL << 39 }, true)!.Value;
        Assert.Equal("CapabilityMissing", reason);
        Assert.Contains("CAP_PERFMON", message, StringComparison.Ordinal);
        Assert.DoesNotContain("CAP_BPF", message, StringComparison.Ordinal);
    }
}
