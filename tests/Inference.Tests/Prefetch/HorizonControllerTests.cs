using FsCheck.Xunit;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class HorizonControllerTests
{
    [Theory]
    [InlineData(4, 0.001, 0.002, 2)]
    [InlineData(0.1, 0.003, 0.002, 2)]
    [InlineData(4, 0.001, 0.0001, 8)]
    [InlineData(4, 0, 0.001, 1)]
    [InlineData(4, 0.001, 0, 1)]
    public void It_starts_where_loading_takes_as_long_as_computing(double experts, double expertSeconds, double computeSeconds, int horizon) =>
        Assert.Equal(horizon, HorizonController.Start(experts, expertSeconds, computeSeconds, 8));

    [Property]
    public void It_stays_in_bounds(byte max, byte stallThreshold, byte overfetchThreshold, byte[] figures)
    {
        var limits = new HorizonLimits((max % 16) + 1, (stallThreshold % 8) + 1, (overfetchThreshold % 8) + 1);
        var controller = new HorizonController(limits);
        foreach (byte[] layer in figures.Chunk(5).Where(chunk => chunk.Length == 5))
        {
            controller.Expect(layer[0] + 0.5);
            controller.Observe(Feedback(layer[1] % 2, layer[2] % 4, layer[3] * 1e-5, layer[4] * 1e-5, layer[0] % 8), 8, layer[1] % 2);
            Assert.InRange(controller.Horizon, 1, limits.MaxHorizon);
        }
    }

    [Property]
    public void On_constant_input_it_settles_within_one_layer(byte late, byte over, byte loaded, byte compute, byte expert)
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var seen = new List<int>();
        for (int layer = 0; layer < 3000; layer++)
        {
            controller.Expect(6);
            controller.Observe(Feedback(late % 2, over % 3, (compute + 1) * 1e-5, (expert + 1) * 1e-5, loaded % 7), 6, late % 2);
            if (layer >= 2000)
                seen.Add(controller.Horizon);
        }
        Assert.InRange(seen.Max() - seen.Min(), 0, 1);
    }

    [Fact]
    public void It_converges_between_a_machine_that_stalls_below_and_loads_in_vain_above()
    {
        // Below 5 layers loads come late, above 5 they are evicted unused.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var seen = new List<int>();
        for (int layer = 0; layer < 2000; layer++)
        {
            int late = controller.Horizon < 5 ? 1 : 0, over = controller.Horizon > 5 ? 2 : 0;
            controller.Expect(4);
            controller.Observe(Feedback(late, over, 1e-3, 2e-3, 1), 4, late);
            if (layer >= 1000)
                seen.Add(controller.Horizon);
        }
        Assert.All(seen, horizon => Assert.Equal(5, horizon));
    }

    [Fact]
    public void Stalls_that_nobody_foresaw_do_not_lengthen_it()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        for (int layer = 0; layer < 500; layer++)
        {
            controller.Expect(4);
            controller.Observe(Feedback(1, 0, 1e-3, 1e-3, 1), 4, late: 0);
        }
        Assert.InRange(controller.Horizon, 1, 2);
    }

    [Fact]
    public void A_larger_batch_starts_again_farther_out()
    {
        var controller = new HorizonController(new HorizonLimits(16, 4, 8));
        Run(4);
        int small = controller.Horizon;
        Run(32);
        Assert.InRange(controller.Horizon, small + 2, 16);

        void Run(int experts)
        {
            for (int layer = 0; layer < 500; layer++)
            {
                controller.Expect(experts);
                controller.Observe(Feedback(0, 0, 1e-3, 1e-3, experts / 2), experts, 0);
            }
        }
    }

    private static PrefetchFeedback Feedback(int misses, int over, double compute, double expert, int loaded) =>
        new(0, misses > 0 ? 1e-4 : 0, misses, over, compute, expert, loaded);
}
