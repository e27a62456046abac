using k8s.Models;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class RivalryTests
{
    private static readonly ObjectKey Key = new("shop", "austen");

    [Fact]
    public void Who_changes_it_back_each_time_is_answered_later_each_time()
    {
        var clock = new SetClock();
        var rivalry = new Rivalry(clock);
        var pauses = new List<double>();
        for (var time = 0; time < 14; time++)
        {
            var begin = clock.Now;
            if (rivalry.Wait(typeof(V1Deployment), Key, "plan") is { } pause)
                clock.Now += pause;
            Assert.Null(rivalry.Wait(typeof(V1Deployment), Key, "plan"));
            pauses.Add((clock.Now - begin).TotalSeconds);
            rivalry.Applied(typeof(V1Deployment), Key, "plan");
        }

        Assert.Equal([0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 120, 120], pauses);
        // Another plan, another object and another kind are other matters.
        Assert.Null(rivalry.Wait(typeof(V1Deployment), Key, "other"));
        Assert.Null(rivalry.Wait(typeof(V1Deployment), Key with { Name = "bronte" }, "plan"));
        Assert.Null(rivalry.Wait(typeof(V1Service), Key, "plan"));
    }

    [Fact]
    public void After_a_quiet_while_it_begins_anew()
    {
        var clock = new SetClock();
        var rivalry = new Rivalry(clock);
        for (var time = 0; time < 20; time++)
            rivalry.Applied(typeof(V1Deployment), Key, "plan");
        Assert.NotNull(rivalry.Wait(typeof(V1Deployment), Key, "plan"));
        clock.Now += TimeSpan.FromMinutes(6);
        rivalry.Applied(typeof(V1Deployment), Key, "plan");
        Assert.Null(rivalry.Wait(typeof(V1Deployment), Key, "plan"));
    }

    private sealed class SetClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UnixEpoch;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
