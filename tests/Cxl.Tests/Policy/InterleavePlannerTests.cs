using FsCheck;
using FsCheck.Fluent;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Policy;

public class InterleavePlannerTests
{
    [Fact]
    public void Weights_follow_the_reported_bandwidth_at_the_target_mix()
    {
        using var sysfs = new SysfsFixture("cxl-two-way");
        var plan = InterleavePlanner.Plan(TopologyReader.Read(sysfs.Root), new MemoryPolicySpec());
        // 272.7, 700 and 54.5 GB/s at half reads: 5 : 12.8 : 1.
        Assert.Null(plan.Obstacle);
        Assert.Equal(5.0, (double)plan.Weights[0] / plan.Weights[2], 0.3);
        Assert.Equal(12.8, (double)plan.Weights[1] / plan.Weights[2], 0.6);
    }

    [Fact]
    public void Unknown_bandwidth_needs_weights_from_the_profile()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        var topology = TopologyReader.Read(sysfs.Root);
        Assert.Equal("BandwidthUnknown", InterleavePlanner.Plan(topology, new MemoryPolicySpec()).Obstacle!.Value.Reason);
        var policy = new MemoryPolicySpec { InterleaveWeights = [new InterleaveWeight { Node = 1, Weight = 4 }] };
        Assert.Equal(4, InterleavePlanner.Plan(topology, policy).Weights[1]);
    }

    [Fact]
    public void What_was_measured_stands_in_for_a_silent_firmware()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        var topology = TopologyReader.Read(sysfs.Root);
        var measured = topology.MemoryNodes.ToDictionary(node => node.Id, node => node.Id == 0 ? 30.0 : 10.0);
        var plan = InterleavePlanner.Plan(topology, new MemoryPolicySpec(), measured);
        Assert.Equal((3, 1, "measurement"), (plan.Weights[0], plan.Weights[1], plan.Source));
        measured.Remove(1);
        Assert.Equal("BandwidthUnknown", InterleavePlanner.Plan(topology, new MemoryPolicySpec(), measured).Obstacle!.Value.Reason);
    }

    [Fact]
    public void Weights_that_the_profile_names_are_in_force_beside_the_scheduler_too()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", "kernel/mm/mempolicy/weighted_interleave/node1 = 1");
        var topology = TopologyReader.Read(sysfs.Root);
        var named = new MemoryPolicySpec { InterleaveWeights = [new InterleaveWeight { Node = 1, Weight = 4 }] };
        Assert.Equal(4, InterleavePlanner.At(SchedulingLevel.SchedExt, topology, named)!.Weights[1]);
        Assert.Equal(4, InterleavePlanner.At(SchedulingLevel.Interleave, topology, named)!.Weights[1]);
        Assert.Null(InterleavePlanner.At(SchedulingLevel.Observe, topology, named));
        Assert.NotEmpty(InterleavePlanner.At(SchedulingLevel.Interleave, topology, new MemoryPolicySpec())!.Weights);
        Assert.Null(InterleavePlanner.At(SchedulingLevel.SchedExt, topology, new MemoryPolicySpec()));
        named.InterleaveWeights![0].Node = 9;
        Assert.Equal("UnknownNode", InterleavePlanner.At(SchedulingLevel.SchedExt, topology, named)!.Obstacle!.Value.Reason);
        using var older = new SysfsFixture("cxl-two-way");
        Assert.Equal("WeightedInterleaveMissing", InterleavePlanner.At(SchedulingLevel.SchedExt, TopologyReader.Read(older.Root), named)!.Obstacle!.Value.Reason);
    }

    [Property]
    public Property Weights_are_legal_and_near_the_proportion() =>
        Prop.ForAll(Gen.Choose(1, 1_000_000).NonEmptyListOf().Where(list => list.Count <= 16).ToArbitrary(), bandwidths =>
        {
            var shares = bandwidths.Select(value => (double)value).ToArray();
            var weights = InterleavePlanner.Proportional(shares);
            var top = weights[Array.IndexOf(shares, shares.Max())];
            return weights.All(weight => weight is >= 1 and <= 255)
                // Half a unit is the rounding; below one unit the smallest weight is the nearest.
                && shares.Select((share, i) => Math.Abs(weights[i] - Math.Max(1, share / shares.Max() * top))).All(error => error <= 0.5 + 1e-9);
        });
}
