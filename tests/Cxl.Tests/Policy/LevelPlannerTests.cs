using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Policy;

public class LevelPlannerTests
{
    private const string Weights = "kernel/mm/mempolicy/weighted_interleave/node";

    private static readonly string[] ThreeWeights = [$"{Weights}0 = 1", $"{Weights}1 = 1", $"{Weights}2 = 1"];

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
        var other = new LevelObstacle(SchedulingLevel.SchedExt, "OtherSchedulerLoaded", "the sched_ext scheduler 'lavd' is loaded already");
        var decision = Decide("cxl-two-way", SchedExt, new NodeAgentConfig { Profile = "p" }, hasScheduler: true, other, ThreeWeights);
        Assert.Equal((SchedulingLevel.Observe, true, "OtherSchedulerLoaded", other), (decision.Level, decision.Acceptable, decision.Reason, Assert.Single(decision.Obstacles)));
    }

    [Theory]
    [InlineData("SchedulerExited", SchedulerFallback.Interleave, SchedulingLevel.Observe, true)]
    [InlineData("SchedulerRejected", SchedulerFallback.Interleave, SchedulingLevel.Interleave, true)]
    [InlineData("NotPermitted", SchedulerFallback.Observe, SchedulingLevel.Observe, true)]
    [InlineData("LibbpfTooOld", SchedulerFallback.Fail, SchedulingLevel.Interleave, false)]
    public void A_scheduler_that_does_not_load_is_as_good_as_none_and_one_that_comes_again_is_waited_for(string reason, SchedulerFallback fallback, SchedulingLevel level, bool acceptable)
    {
        var config = new NodeAgentConfig { Profile = "p", Fallback = new MemoryFallbackSpec { WithoutSchedExt = fallback } };
        var decision = Decide("cxl-two-way", SchedExt, config, hasScheduler: true, new LevelObstacle(SchedulingLevel.SchedExt, reason, "why"), ThreeWeights);
        Assert.Equal((level, acceptable), (decision.Level, decision.Acceptable));
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

    [Fact]
    public void Without_CXL_memory_the_word_about_the_scheduler_does_not_count_and_memory_without_processors_is_interleaved()
    {
        string[] memoryOnly = ["devices/system/node/online = 0-2", "devices/system/node/node2/cpulist = ", "devices/system/node/node2/distance = 30 30 10", "devices/system/node/node2/meminfo = Node 2 MemTotal:       33554432 kB|Node 2 MemFree:        1000000 kB", .. ThreeWeights];
        var config = new NodeAgentConfig { Profile = "p", Policy = new MemoryPolicySpec { InterleaveWeights = [new InterleaveWeight { Node = 0, Weight = 2 }] }, Fallback = new MemoryFallbackSpec { WithoutSchedExt = SchedulerFallback.Fail, WithoutCxl = CxlFallback.Observe } };
        var able = Decide("ddr-only", SchedExt, config, hasScheduler: true, memoryOnly);
        Assert.Equal((SchedulingLevel.Interleave, true, "NoCxlMemory"), (able.Level, able.Acceptable, able.Reason));
        var unable = Decide("ddr-only", Plain, config, hasScheduler: true, memoryOnly);
        Assert.Equal((SchedulingLevel.Interleave, false, "SchedExtMissing"), (unable.Level, unable.Acceptable, unable.Reason));
        config.Fallback.WithoutSchedExt = SchedulerFallback.Observe;
        Assert.Equal(SchedulingLevel.Interleave, Decide("ddr-only", SchedExt, config, hasScheduler: true, memoryOnly).Level);
        Assert.Equal(SchedulingLevel.Observe, Decide("ddr-only", Plain, config, hasScheduler: true, memoryOnly).Level);
        var neither = Decide("ddr-only", SchedExt, config, hasScheduler: true);
        Assert.Equal((SchedulingLevel.Observe, true, "NoCxlMemory"), (neither.Level, neither.Acceptable, neither.Reason));
    }

    private static LevelDecision Decide(string fixture, HostKernel kernel, NodeAgentConfig config, bool hasScheduler, params string[] more) =>
        Decide(fixture, kernel, config, hasScheduler, null, more);

    private static LevelDecision Decide(string fixture, HostKernel kernel, NodeAgentConfig config, bool hasScheduler, LevelObstacle? failure, string[] more)
    {
        using var sysfs = new SysfsFixture(fixture, more);
        return LevelPlanner.Decide(kernel, TopologyReader.Read(sysfs.Root), config, hasScheduler, failure: failure);
    }
}
