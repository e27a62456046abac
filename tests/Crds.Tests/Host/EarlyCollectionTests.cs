using Microsoft.Extensions.Time.Testing;
using Moebius.Crds.Host;

namespace Moebius.Crds.Tests.Host;

public sealed class EarlyCollectionTests
{
    private const long Mebibyte = 1 << 20;

    [Fact]
    public void Young_garbage_is_collected_when_there_is_enough_of_it_and_not_too_often()
    {
        var time = new FakeTimeProvider();
        var start = GC.GetTotalAllocatedBytes();
        var garbage = new EarlyCollection(time, TimeSpan.FromSeconds(1));
        Assert.False(garbage.IsDue(start + 1000 * Mebibyte), "too early");
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(garbage.IsDue(start + Mebibyte), "too little");
        Assert.True(garbage.IsDue(start + 1000 * Mebibyte));
        Assert.False(garbage.IsDue(start + 2000 * Mebibyte), "a moment ago");
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(garbage.IsDue(start + 1001 * Mebibyte), "too little since then");
        Assert.True(garbage.IsDue(start + 1003 * Mebibyte));
    }
}
