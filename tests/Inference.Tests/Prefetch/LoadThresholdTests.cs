using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class LoadThresholdTests
{
    [Theory]
    [InlineData(false, 0.02, 0.05)]
    [InlineData(true, 0.02, 0.1)]
    [InlineData(false, 0.2, 1.0 / 11)]
    [InlineData(false, 0.5, 0.2)]
    [InlineData(true, 0.1, 1.0 / 9)]
    [InlineData(true, 0.2, 0.2)]
    [InlineData(true, 1, 1.0 / 3)]
    [InlineData(false, 3, 1.0 / 3)]
    public void It_follows_the_share_of_the_time_in_which_the_link_carries_what_is_demanded_and_of_all_loads_where_layers_are_short(bool shortLayers, double share, double expected)
    {
        var threshold = new LoadThreshold();
        Assert.Equal(LoadThreshold.Initial, threshold.Value);
        // In layers of two seconds, half of it stalls: ten demanded loads of a tenth of that share, and fifteen others ahead.
        for (var layer = 0; layer < 4000; layer++)
            threshold.Observe(new PrefetchFeedback(0, 1, 12, 0, 1, 0.2 * share, 25) { Late = 2, Ahead = 15 }, shortLayers);
        Assert.Equal(expected, threshold.Value, 3);
    }

    [Property]
    public void It_stays_in_its_bounds_and_ignores_layers_without_a_measured_link(double[] seconds, byte misses, bool shortLayers)
    {
        var threshold = new LoadThreshold();
        threshold.Observe(new PrefetchFeedback(0, 1, 5, 0, 1, 0, 5), shortLayers);
        Assert.Equal(LoadThreshold.Initial, threshold.Value);
        foreach (var value in seconds.Where(double.IsFinite))
            threshold.Observe(new PrefetchFeedback(0, Math.Abs(value) % 10, misses, 0, Math.Abs(value) % 3, Math.Abs(value) % 7, misses), shortLayers);
        Assert.InRange(threshold.Value, LoadThreshold.Least, 0.34f);
    }
}
