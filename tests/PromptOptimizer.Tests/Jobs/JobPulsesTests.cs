using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Jobs;

public sealed class JobPulsesTests
{
    [Fact]
    public void Who_listens_to_a_job_wakes_for_it_alone()
    {
        var pulses = new JobPulses();
        var one = pulses.Join("one");
        Assert.Same(one, pulses.Join("one"));
        var next = one.Next;
        pulses.Beat("other");
        Assert.False(next.IsCompleted);
        pulses.Beat("one");
        Assert.True(next.IsCompleted);
        // The second listener is still there.
        pulses.Leave("one");
        next = one.Next;
        pulses.Beat("one");
        Assert.True(next.IsCompleted);
        pulses.Leave("one");
        pulses.Beat("one");
        Assert.NotSame(one, pulses.Join("one"));
    }
}
