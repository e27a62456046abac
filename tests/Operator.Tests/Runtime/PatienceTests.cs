using Microsoft.Extensions.Time.Testing;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class PatienceTests
{
    [Fact]
    public void Each_object_is_waited_for_from_the_first_look_whatever_the_clock_is_set_to()
    {
        var time = new FakeTimeProvider();
        var patience = new Patience(time, TimeSpan.FromMinutes(2));
        Assert.False(patience.IsOver("a"));
        time.Advance(TimeSpan.FromSeconds(119));
        Assert.False(patience.IsOver("a"));
        Assert.False(patience.IsOver("b"));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(patience.IsOver("a"));
        Assert.Equal(TimeSpan.FromSeconds(1), patience.Waited("b"));
        patience.Forget("a");
        Assert.False(patience.IsOver("a"));
    }
}
