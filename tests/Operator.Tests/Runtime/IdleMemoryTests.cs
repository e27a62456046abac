using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class IdleMemoryTests
{
    private const long Mebibyte = 1 << 20;

    [Fact]
    public void Memory_is_given_back_once_after_work_and_not_during_it()
    {
        var memory = new IdleMemory(TimeProvider.System);
        Assert.False(memory.IsDue(100 * Mebibyte), "busy");
        Assert.False(memory.IsDue(300 * Mebibyte), "still busy");
        Assert.True(memory.IsDue(301 * Mebibyte), "at rest after work");
        for (var at = 302; at <= 332; at++)
            Assert.False(memory.IsDue(at * Mebibyte), "at rest, and nothing to gain");
        Assert.True(memory.IsDue(333 * Mebibyte), "what rest itself has left behind");
    }
}
