using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class OverlappingLeasesTests
{
    [Theory]
    [InlineData(null, "moebius-operator-shop 10:00", "moebius-operator-shop")]
    [InlineData(null, "moebius-operator-shop 10:02", null)]
    [InlineData(null, "moebius-operator 10:00", null)]
    [InlineData(null, "somebody-else 10:00", null)]
    [InlineData(null, "moebius-operator-b 10:00,moebius-operator-a 10:00", "moebius-operator-a")]
    [InlineData("shop", "moebius-operator 10:00", "moebius-operator")]
    [InlineData("shop", "moebius-operator 10:02", null)]
    [InlineData("shop", "moebius-operator-bank 10:00", null)]
    public void Who_came_first_under_a_Lease_for_the_same_objects_is_in_the_way(string? watched, string others, string? found) =>
        Assert.Equal(found, Of(watched).InTheWay(Lease(Leadership.LeaseOf(watched), "10:01"), [.. others.Split(',').Select(one => Lease(one.Split(' ')[0], one.Split(' ')[1]))])?.Name);

    [Fact]
    public void Of_two_that_came_at_once_one_waits()
    {
        var (all, one) = (Lease(Leadership.LeaseOf(null), "10:01"), Lease(Leadership.LeaseOf("shop"), "10:01"));
        Assert.Equal(1, new[] { Of(null).InTheWay(all, [one]), Of("shop").InTheWay(one, [all]) }.Count(held => held is not null));
    }

    [Fact]
    public void A_Lease_that_was_given_back_or_is_not_renewed_is_in_nobodys_way()
    {
        var clock = new SetClock();
        var leases = Of("shop", clock);
        var (own, other) = (Lease(Leadership.LeaseOf("shop"), "10:01"), Lease(Leadership.LeaseOf(null), "10:00"));
        Assert.Null(leases.InTheWay(own, [other with { Holder = "" }]));
        Assert.NotNull(leases.InTheWay(own, [other]));
        clock.Now += TimeSpan.FromSeconds(14);
        Assert.NotNull(leases.InTheWay(own, [other]));
        Assert.NotNull(leases.InTheWay(own, [other with { Renewal = "later" }]));
        clock.Now += TimeSpan.FromSeconds(14);
        Assert.NotNull(leases.InTheWay(own, [other with { Renewal = "later" }]));
        clock.Now += TimeSpan.FromSeconds(1);
        Assert.Null(leases.InTheWay(own, [other with { Renewal = "later" }]));
    }

    // Nothing here asks the server.
    private static OverlappingLeases Of(string? watched, TimeProvider? time = null) => new(null!, "moebius-system", watched, time ?? TimeProvider.System, NullLogger.Instance);

    private static OverlappingLeases.Held Lease(string name, string acquired) =>
        new(name, "somebody", DateTimeOffset.Parse($"2026-01-01T{acquired}Z", CultureInfo.InvariantCulture), "once", 15);

    private sealed class SetClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UnixEpoch;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
