using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class ChoiceGroupTests
{
    [Fact]
    public void The_last_to_end_tells_of_the_longest()
    {
        var group = new ChoiceGroup(3);
        Assert.False(group.End(5));
        Assert.False(group.End(2));
        Assert.True(group.End(3));
        Assert.Equal((3, 5), (group.Count, group.Longest));
    }
}
