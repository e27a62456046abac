using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Tests.Policy;

public sealed class EngagementTests
{
    private static readonly ClassLoads Pair = new(1, 1, 0);

    [Theory]
    [InlineData(0, 0, 0, false)]
    [InlineData(8, 0, 0, false)]
    [InlineData(0, 8, 0, false)]
    [InlineData(0, 0, 8, false)]
    [InlineData(8, 0.01, 0, false)]
    [InlineData(0.1, 0.1, 0, true)]
    [InlineData(8, 0, 0.1, true)]
    [InlineData(0, 8, 0.1, true)]
    public void The_scheduler_is_needed_where_there_is_a_choice(double readers, double writers, double latency, bool needed) =>
        Assert.Equal(needed, new ClassLoads(readers, writers, latency).NeedScheduler);

    [Fact]
    public void It_comes_soon_and_goes_late()
    {
        var engagement = new Engagement();
        Assert.False(engagement.Next(Pair));
        Assert.True(engagement.Next(Pair));
        for (var i = 1; i < Engagement.ReleaseAfter; i++)
            Assert.True(engagement.Next(default));
        Assert.False(engagement.Next(default));
    }

    [Fact]
    public void One_window_changes_nothing()
    {
        var engagement = new Engagement();
        for (var i = 0; i < 100; i++)
            Assert.False(engagement.Next(i % 2 == 0 ? Pair : default));
        engagement.Next(Pair);
        engagement.Next(Pair);
        for (var i = 0; i < 100; i++)
            Assert.True(engagement.Next(i % Engagement.ReleaseAfter == 0 ? Pair : default));
    }
}
