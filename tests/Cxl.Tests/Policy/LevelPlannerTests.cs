using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Policy;

public class LevelPlannerTests
{
    private const string Weights = "kernel/mm/mempolicy/weighted_interleave/node";

    private static readonly HostKernel SchedExt = new() { Release = "6.18.0", HasBtf = true, Capabilities = ulong.MaxValue, Lockdown = "none", SchedExtState = "disabled", SchedExtScheduler = null };
    private static readonly HostKernel Plain = SchedExt with { SchedExtState = null };

    [Fact]
    public void With_everything_the_scheduler_runs()
    {
        var decision = Decide("cxl-two-way", SchedExt, new NodeAgentConfig { Profile = "p" }, hasScheduler: true);
        Assert.Equal((SchedulingLevel.SchedExt, true, "SchedExt", ""), (decision.Level, decision.Acceptable, decision.Reason, decision.Message));
    }

    [Fact]
    public void Without_sched_ext_weights_are_interleaved()
    {
        var decision = Decide("cxl-two-way", Plain, new NodeAgentConfig { Profile = "p" }, true, $"{Weights}0 = 1", $"{Weights}1 = 1", $"{Weights}2 = 1");
        Assert.Equal((SchedulingLevel.Interleave, "SchedExtMissing"), (decision.Level, decision.Reason));
    }

    [Fact]
    public void Another_scheduler_is_named()
    {
        var decision = Decide("cxl-two-way", SchedExt with { SchedExtState = "enabled", SchedExtScheduler = "lavd" }, new NodeAgentConfig { Profile = "p" }, hasScheduler: true);
        Assert.Contains(decision.Obstacles, obstacle => obstacle.Reason == "OtherSchedulerLoaded" && obstacle.Message.Contains("lavd", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("ddr-only", "NoCxlMemory")]
    [InlineData("cxl-two-way", "WeightedInterleaveMissing")]
    public void What_stands_in_the_way_of_interleaving_is_the_reason(string fixture, string reason)
    {
        var decision = Decide(fixture, Plain, new NodeAgentConfig { Profile = "p" }, hasScheduler: false);
        Assert.Equal((SchedulingLevel.Observe, true, reason), (decision.Level, decision.Acceptable, decision.Reason));
        Assert.Equal(2, decision.Obstacles.Count);
    }

    [Fact]
    public void Weights_for_a_node_that_is_not_there_are_refused()
    {
        var config = new NodeAgentConfig { Profile = "p", Policy = new MemoryPolicySpec { InterleaveWeights = [new InterleaveWeight { Node = 9, Weight = 2 }] } };
        var decision = Decide("cxl-two-way", Plain, config, false, $"{Weights}0 = 1");
        Assert.Equal((SchedulingLevel.Observe, "UnknownNode"), (decision.Level, decision.Reason));
    }

    [Theory]
    [InlineData(MemoryStrategy.Auto, SchedulerFallback.Fail, CxlFallback.Observe, false)]
    [InlineData(MemoryStrategy.Auto, SchedulerFallback.Interleave, CxlFallback.Fail, false)]
    [InlineData(MemoryStrategy.Interleave, SchedulerFallback.Fail, CxlFallback.Observe, true)]
    [InlineData(MemoryStrategy.Observe, SchedulerFallback.Fail, CxlFallback.Fail, true)]
    public void A_profile_may_ask_to_fail_instead(MemoryStrategy strategy, SchedulerFallback scheduler, CxlFallback cxl, bool acceptable)
    {
        var config = new NodeAgentConfig { Profile = "p", Policy = new MemoryPolicySpec { Strategy = strategy }, Fallback = new MemoryFallbackSpec { WithoutSchedExt = scheduler, WithoutCxl = cxl } };
        var decision = Decide("ddr-only", Plain, config, hasScheduler: false);
        Assert.Equal((SchedulingLevel.Observe, acceptable), (decision.Level, decision.Acceptable));
    }

    private static LevelDecision Decide(string fixture, HostKernel kernel, NodeAgentConfig config, bool hasScheduler, params string[] more)
    {
        using var sysfs = new SysfsFixture(fixture, more);
        return LevelPlanner.Decide(kernel, TopologyReader.Read(sysfs.Root), config, hasScheduler);
    }
}
