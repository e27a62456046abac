using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Telemetry;

public class ActivityTrackerTests
{
    private static readonly Dictionary<ulong, MemoryIntent> NoHints = [];
    private readonly ActivityTracker _tracker = new(new MixClassifier(0.7, 0.3), perfEvents: false);

    [Fact]
    public void Differences_are_taken_per_cgroup()
    {
        _tracker.Update(Snapshot((1, 100, 50)), Paths(1), NoHints, out _);
        var activity = Assert.Single(_tracker.Update(Snapshot((1, 160, 50)), Paths(1), NoHints, out _));
        Assert.Equal((60UL, 0UL), (activity.Delta.ReadFaults, activity.Delta.WriteFaults));
        Assert.Equal(160UL, activity.Total.ReadFaults);
    }

    [Fact]
    public void A_cgroup_that_vanished_is_handed_back_and_forgotten()
    {
        _tracker.Update(Snapshot((1, 100, 0), (2, 100, 0)), Paths(1, 2), NoHints, out var gone);
        Assert.Empty(gone);
        Assert.Single(_tracker.Update(Snapshot((1, 100, 0), (2, 100, 0)), Paths(1), NoHints, out gone));
        Assert.Equal([2UL], gone);
        // The same id again is a new cgroup: nothing of the old one is left to subtract.
        var activity = _tracker.Update(Snapshot((1, 100, 0), (2, 7, 0)), Paths(1, 2), NoHints, out _);
        Assert.Equal(7UL, activity.Single(cgroup => cgroup.Id == 2).Delta.ReadFaults);
    }

    [Fact]
    public void A_hint_comes_before_the_own_mix()
    {
        var activity = _tracker.Update(Snapshot((1, 100, 0), (2, 100, 0)), Paths(1, 2), new Dictionary<ulong, MemoryIntent> { [1] = MemoryIntent.Latency }, out _);
        Assert.Equal((MemoryIntent.Latency, true), (activity[0].Intent, activity[0].Hinted));
        Assert.Equal((MemoryIntent.ReadHeavy, false), (activity[1].Intent, activity[1].Hinted));
    }

    [Fact]
    public void A_thousand_cgroups_come_and_go_without_a_trace()
    {
        for (ulong id = 1; id <= 1000; id++)
        {
            var activity = _tracker.Update(Snapshot((id, 100, 0)), Paths(id), NoHints, out _);
            Assert.Single(activity);
        }

        Assert.Empty(_tracker.Update(new Dictionary<ulong, CgroupCounters>(), Paths(), NoHints, out var gone));
        Assert.Empty(gone);
    }

    private static Dictionary<ulong, CgroupCounters> Snapshot(params (ulong Id, ulong Reads, ulong Writes)[] cgroups) =>
        cgroups.ToDictionary(cgroup => cgroup.Id, cgroup => new CgroupCounters { ReadFaults = cgroup.Reads, WriteFaults = cgroup.Writes });

    private static Dictionary<ulong, string> Paths(params ulong[] ids) => ids.ToDictionary(id => id, id => $"/{id}");
}
