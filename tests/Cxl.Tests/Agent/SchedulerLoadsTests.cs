using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Agent;

public sealed class SchedulerLoadsTests
{
    [Fact]
    public void Run_time_counts_by_class_and_window()
    {
        CgroupActivity[] activity = [Cgroup(1, MemoryIntent.ReadHeavy, 500_000_000), Cgroup(2, MemoryIntent.ReadHeavy, 1_000_000_000), Cgroup(3, MemoryIntent.WriteHeavy, 100_000_000), Cgroup(4, MemoryIntent.Balanced, 9_000_000_000)];
        Assert.Equal(new ClassLoads(0.75, 0.05, 0), SchedulerKeeper.Loads(new Dictionary<ulong, MemoryIntent>(), activity, TimeSpan.FromSeconds(2)));
    }

    [Fact]
    public void Where_nothing_is_counted_a_hint_stands_for_a_load()
    {
        var hints = new Dictionary<ulong, MemoryIntent> { [1] = MemoryIntent.ReadHeavy, [2] = MemoryIntent.Latency };
        Assert.Equal(new ClassLoads(1, 0, 1), SchedulerKeeper.Loads(hints, null, TimeSpan.FromSeconds(1)));
    }

    private static CgroupActivity Cgroup(ulong id, MemoryIntent intent, ulong ran) =>
        new(id, $"/{id}", default, new CgroupCounters { RunNs = ran }, intent, false, null);
}
