using FsCheck.Xunit;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class LoadThresholdTests
{
    [Theory]
    [InlineData(0.02, 0.05)]
    [InlineData(0.2, 1.0 / 6)]
    [InlineData(0.5, 1.0 / 3)]
    [InlineData(1, 0.5)]
    [InlineData(3, 0.5)]
    public void It_follows_the_share_of_the_time_that_the_link_is_busy(double busy, double expected)
    {
        var threshold = new LoadThreshold();
        Assert.Equal(LoadThreshold.Initial, threshold.Value);
        // Ten loads of a tenth of the busy time in layers of two seconds, half of it stalls.
        for (int layer = 0; layer < 4000; layer++)
            threshold.Observe(new PrefetchFeedback(0, 1, 0, 0, 1, 0.2 * busy, 10));
        Assert.Equal(expected, threshold.Value, 3);
    }

    [Property]
    public void It_stays_in_its_bounds_and_ignores_layers_without_a_measured_link(double[] seconds, byte loaded)
    {
        var threshold = new LoadThreshold();
        threshold.Observe(new PrefetchFeedback(0, 1, 0, 0, 1, 0, 5));
        Assert.Equal(LoadThreshold.Initial, threshold.Value);
        foreach (double value in seconds.Where(double.IsFinite))
            threshold.Observe(new PrefetchFeedback(0, Math.Abs(value) % 10, 0, 0, Math.Abs(value) % 3, Math.Abs(value) % 7, loaded));
        Assert.InRange(threshold.Value, LoadThreshold.Least, 0.5f);
    }
}
