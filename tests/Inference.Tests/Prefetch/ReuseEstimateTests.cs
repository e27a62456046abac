using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class ReuseEstimateTests
{
    private const int Layers = 4;

    [Fact]
    public void Of_layers_that_use_their_experts_alike_the_next_to_run_is_next_and_the_running_one_last()
    {
        var estimate = new ReuseEstimate(Layers, 8, 2);
        for (var step = 0; step < 3; step++)
        {
            for (var layer = 0; layer < Layers; layer++)
            {
                estimate.Used(layer, [0, 1]);
                if (step < 2)
                    continue;
                var running = layer;
                Assert.Equal(
                    Enumerable.Range(1, Layers).Select(distance => (running + distance) % Layers),
                    Enumerable.Range(0, Layers).OrderBy(other => estimate.NextUse(new ExpertKey(other, 1))));
            }
        }
    }

    [Fact]
    public void What_is_predicted_counts_until_its_layer_has_run()
    {
        var estimate = new ReuseEstimate(Layers, 2, 1);
        Assert.False(estimate.IsPredicted(1));
        estimate.Used(0, [0]);
        estimate.Predicted(1, [0, 1]);
        Assert.True(estimate.IsPredicted(1));
        Assert.True(estimate.NextUse(new ExpertKey(1, 1)) < estimate.NextUse(new ExpertKey(1, 0)));
        estimate.Used(1, [1]);
        Assert.False(estimate.IsPredicted(1));
        // While it runs, of itself in the next step.
        estimate.Predicted(1, [0, 1]);
        Assert.True(estimate.IsPredicted(1));
        estimate.Used(2, [0]);
        Assert.True(estimate.IsPredicted(1));
        for (var layer = 3; layer < Layers + 2; layer++)
            estimate.Used(layer % Layers, [0]);
        Assert.False(estimate.IsPredicted(1));
    }

    [Fact]
    public void What_was_used_in_the_first_steps_is_soon_expected()
    {
        var estimate = new ReuseEstimate(1, 8, 1);
        for (var step = 0; step < 24; step++)
            estimate.Used(0, [3]);
        Assert.InRange(estimate.Uses(0, 3), 0.6f, 1);
        Assert.InRange(estimate.Uses(0, 2), 0, 0.1f);
    }
}
