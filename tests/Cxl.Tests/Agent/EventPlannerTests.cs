using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;

namespace Moebius.Cxl.Tests.Agent;

public sealed class EventPlannerTests
{
    private static readonly DuplexStatus StandingBy = new()
    {
        Loaded = false, Reason = "StandingBy", Message = "waits", Failures = 0, Strategy = MemoryStrategy.DuplexPair, StrategyReason = "policy.strategy", Limited = null, Classes = [],
    };

    private static readonly DuplexStatus Loaded = StandingBy with { Loaded = true, Reason = "Loaded" };

    private static readonly DuplexStatus Exited = StandingBy with
    {
        Reason = "SchedulerExited", Message = "redis-server[12] failed to run", LastExit = "runnable task stall: redis-server[12] failed to run", ExitReason = "runnable task stall",
        Failures = 1, NextAttempt = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero),
    };

    private readonly AgentStatus _status = Report();

    [Fact]
    public void A_start_tells_the_level_and_what_is_not_counted() =>
        Assert.Equal(["LevelChosen Normal", $"{_status.Observer.Reason} Warning"], Told(null, _status));

    [Fact]
    public void Nothing_new_is_nothing_told()
    {
        Assert.Empty(Told(_status, _status));
        Assert.Empty(Told(_status with { Duplex = Loaded }, _status with { Duplex = Loaded }));
        Assert.Empty(Told(_status with { Duplex = Exited }, _status with { Duplex = Exited }));
    }

    [Fact]
    public void A_level_that_falls_is_a_warning_and_one_that_rises_is_not()
    {
        var high = _status with { Level = SchedulingLevel.SchedExt };
        Assert.Equal(["LevelChanged Warning"], Told(high, _status));
        Assert.Equal(["LevelChanged Normal"], Told(_status, high));
        Assert.Equal(["LevelNotAccepted Warning"], Told(_status, _status with { Ready = false }));
    }

    [Fact]
    public void The_scheduler_comes_and_goes_in_events()
    {
        Assert.Equal(["SchedulerLoaded Normal"], Told(_status with { Duplex = StandingBy }, _status with { Duplex = Loaded }));
        var yielding = StandingBy with { Reason = "CpuLimitsInForce" };
        Assert.Equal(["CpuLimitsInForce Normal"], Told(_status with { Duplex = Loaded }, _status with { Duplex = yielding }));
        Assert.Equal(["CpuLimitsInForce Normal"], Told(_status with { Duplex = StandingBy }, _status with { Duplex = yielding }));
        Assert.Empty(Told(_status with { Duplex = yielding }, _status with { Duplex = yielding }));
        Assert.Contains("requests and limits of pods", Assert.Single(EventPlanner.Between(_status with { Duplex = StandingBy }, _status with { Duplex = Loaded })).Message, StringComparison.Ordinal);
        Assert.Equal(["SchedulerReleased Normal"], Told(_status with { Duplex = Loaded }, _status with { Duplex = StandingBy }));
        Assert.Equal(["SchedulerExited Warning"], Told(_status with { Duplex = Loaded }, _status with { Duplex = Exited }));
        Assert.Equal(["SchedulerExited Warning", "SchedulerBackOff Warning"], Told(_status with { Duplex = Exited }, _status with { Duplex = Exited with { Failures = 2 } }));
        var other = StandingBy with { Reason = "OtherSchedulerLoaded", NextAttempt = Exited.NextAttempt };
        Assert.Equal(["OtherSchedulerLoaded Warning"], Told(_status with { Duplex = StandingBy }, _status with { Duplex = other }));
        Assert.Empty(Told(_status with { Duplex = other }, _status with { Duplex = other with { NextAttempt = other.NextAttempt + TimeSpan.FromSeconds(2) } }));
        // The first failure after a long run: the count is what it was.
        Assert.Equal(["SchedulerExited Warning"], Told(_status with { Duplex = Loaded with { Failures = 1 } }, _status with { Duplex = Exited }));
        var again = Exited with { NextAttempt = Exited.NextAttempt + TimeSpan.FromHours(1) };
        Assert.Equal(["SchedulerExited Warning"], Told(_status with { Duplex = Exited }, _status with { Duplex = again }));
        Assert.Equal(["SchedulerRejected Warning"], Told(_status with { Duplex = StandingBy }, _status with { Duplex = StandingBy with { Reason = "SchedulerRejected", Failures = 1 } }));
    }

    [Fact]
    public void A_setting_that_is_not_honoured_is_told_once()
    {
        var short1 = _status with { NotHonoured = ["telemetry.source: PerfEvents is not available here"] };
        var short2 = short1 with { NotHonoured = [.. short1.NotHonoured, "moebius.dev/memory-intent: 1 pods have an annotation that is none of ReadHeavy"] };
        var short3 = short1 with { NotHonoured = [.. short1.NotHonoured, "moebius.dev/memory-intent: 2 pods have an annotation that is none of ReadHeavy"] };
        Assert.Equal(["LevelChosen Normal", $"{_status.Observer.Reason} Warning", "SettingNotHonoured Warning"], Told(null, short1));
        Assert.Empty(Told(short1, short1));
        Assert.Equal("moebius.dev/memory-intent: 1 pods have an annotation that is none of ReadHeavy", Assert.Single(EventPlanner.Between(short1, short2)).Message);
        Assert.Empty(Told(short2, short3));
        Assert.Empty(Told(short2, _status));
    }

    [Fact]
    public void No_event_names_a_task() =>
        Assert.DoesNotContain(
            EventPlanner.Between(_status with { Duplex = Exited }, _status with { Duplex = Exited with { Failures = 2 } }),
            told => told.Message.Contains("redis", StringComparison.Ordinal));

    private static IEnumerable<string> Told(AgentStatus? before, AgentStatus after) =>
        EventPlanner.Between(before, after).Select(told => $"{told.Reason} {(told.Warning ? "Warning" : "Normal")}");

    private static AgentStatus Report()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        using var agent = new NodeAgent(new AgentOptions { Sysfs = sysfs.Root, State = Path.Combine(sysfs.Root, "state"), Config = new NodeAgentConfig { Profile = "p" } }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);
        return agent.Status;
    }
}
