using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Tests.Policy;

public sealed class DuplexPlannerTests
{
    private static readonly DuplexParameters Unlimited = new() { Limited = DuplexParameters.NoClass };

    [Theory]
    [InlineData(MemoryStrategy.DuplexPair, 1u, 0u)]
    [InlineData(MemoryStrategy.DuplexToken, 1u, 0u)]
    [InlineData(MemoryStrategy.LatencyGuard, 0u, 1u)]
    public void Each_strategy_turns_on_its_own_rules(MemoryStrategy strategy, uint pair, uint guard)
    {
        var parameters = Plan(strategy, default, Unlimited);
        Assert.Equal((pair, guard, DuplexParameters.NoClass), (parameters.Pair, parameters.Guard, parameters.Limited));
        Assert.Equal(20_000_000UL, parameters.AgingNs);
    }

    [Theory]
    [InlineData(6.0, 2.0, true)]
    [InlineData(2.0, 6.0, false)]
    public void The_heavier_direction_gets_what_the_lighter_one_uses(double readers, double writers, bool readersAreLimited)
    {
        var parameters = Plan(MemoryStrategy.DuplexToken, new DirectionLoad(readers, writers), Unlimited);
        Assert.Equal(((uint)(readersAreLimited ? DuplexClass.Read : DuplexClass.Write), 2_000_000UL), (parameters.Limited, parameters.RefillNs));
    }

    [Fact]
    public void An_idle_direction_does_not_stop_the_other()
    {
        var parameters = Plan(MemoryStrategy.DuplexToken, new DirectionLoad(8, 0), Unlimited);
        Assert.Equal((ulong)(DuplexPlanner.Floor * 8 * 1e6), parameters.RefillNs);
    }

    [Fact]
    public void A_limit_that_works_is_not_lifted_because_it_works()
    {
        var limited = Plan(MemoryStrategy.DuplexToken, new DirectionLoad(6, 2.5), Unlimited);
        var after = Plan(MemoryStrategy.DuplexToken, new DirectionLoad(2.4, 2.5), limited);
        Assert.Equal((uint)DuplexClass.Read, Plan(MemoryStrategy.DuplexToken, new DirectionLoad(2.6, 2.5), limited).Limited);
        Assert.NotEqual((uint)DuplexClass.Read, Plan(MemoryStrategy.DuplexToken, new DirectionLoad(1, 2.5), after).Limited);
    }

    [Theory]
    [InlineData(50, 8, 4)]
    [InlineData(75, 8, 2)]
    [InlineData(99, 8, 0)]
    [InlineData(50, 1, 0)]
    public void Lanes_follow_the_target_in_every_group(int target, int cpus, int writers)
    {
        var lanes = DuplexPlanner.Lanes([[.. Enumerable.Range(0, cpus)], [.. Enumerable.Range(cpus, cpus)]], target);
        Assert.Equal(2 * cpus, lanes.Count);
        Assert.Equal(writers, lanes.Count(lane => lane.Key < cpus && lane.Value == DuplexClass.Write));
        Assert.Equal(writers, lanes.Count(lane => lane.Key >= cpus && lane.Value == DuplexClass.Write));
    }

    [Fact]
    public void The_bound_is_the_one_in_the_programs_words() =>
        // 2 A + (2 ceil(100 / 2) + 1) S
        Assert.Equal(TimeSpan.FromMilliseconds(2 * 20 + 101 * (3 + 4)), DuplexPlanner.WaitBound(Plan(MemoryStrategy.DuplexPair, default, Unlimited), 101, 2, TimeSpan.FromMilliseconds(4)));

    private static DuplexParameters Plan(MemoryStrategy strategy, DirectionLoad load, in DuplexParameters current) =>
        DuplexPlanner.Plan(strategy, new MemoryPolicySpec(), load, 8, current);
}
