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

    [Fact]
    public void A_late_stall_now_and_then_does_not_lengthen_it()
    {
        // One in a hundred layers for a hundred thousand layers: it is not the horizon that is short.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        for (int layer = 0; layer < 100_000; layer++)
        {
            int late = layer % 100 == 0 ? 1 : 0;
            controller.Expect(4);
            controller.Observe(Feedback(late, 0, 1e-3, 1e-3, 1), 4, late);
        }
        Assert.InRange(controller.Horizon, 1, 2);
    }

    [Fact]
    public void Looking_ahead_ends_where_it_costs_more_than_all_the_stall_and_stays_off()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new Machine(stall: 4e-6, plan: 10e-6, saved: 0.7);
        int on = run.Layers(controller, 200_000);
        Assert.Equal(0, controller.Horizon);
        Assert.InRange(on, 1, 8 * PlanningWorth.Trial);
    }

    [Fact]
    public void Looking_ahead_goes_on_where_it_saves_more_than_it_costs()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new Machine(stall: 200e-6, plan: 10e-6, saved: 0.7);
        Assert.Equal(50_000, run.Layers(controller, 50_000));
        Assert.InRange(controller.Horizon, 1, 8);
    }

    [Fact]
    public void It_begins_again_when_there_is_stall_to_save()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        new Machine(stall: 4e-6, plan: 10e-6, saved: 0.7).Layers(controller, 20_000);
        Assert.Equal(0, controller.Horizon);
        new Machine(stall: 200e-6, plan: 10e-6, saved: 0.7).Layers(controller, 2 * PlanningWorth.LongestPause);
        Assert.InRange(controller.Horizon, 1, 8);
    }

    [Fact]
    public void A_longer_horizon_that_saves_nothing_more_is_taken_back()
    {
        // Loads are always late, since the link is full: no horizon cures that, and each layer of it costs.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        long horizons = 0;
        const int Layers = 40_000;
        for (int layer = 0; layer < Layers; layer++)
        {
            double cost = 7e-6 * controller.Horizon;
            horizons += controller.Horizon;
            controller.Expect(1);
            controller.Observe(new PrefetchFeedback(0, 80e-6, 2, 0, 60e-6 + cost, 90e-6, 2) { Ahead = 2, PlanSeconds = cost }, 4, 2);
        }
        Assert.InRange((double)horizons / Layers, 1, 2.5);
    }

    [Property]
    public void Trials_that_do_not_pay_grow_rare(byte stall, byte plan, byte saved)
    {
        // Whatever the machine, what planning costs beyond what it saves is at most a hundredth of the planning itself.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new Machine((stall + 1) * 1e-6, (plan + 1) * 1e-6, saved / 255.0);
        const int Layers = 300_000;
        run.Layers(controller, Layers);
        Assert.True(run.Planned - run.Gained <= (0.01 * Layers * (plan + 1) * 1e-6 * 8) + 1e-9, $"planned {run.Planned}, gained {run.Gained}");
    }

    /// <summary>A machine with some stall in each layer, of which looking ahead saves a share, at a cost for each layer ahead.</summary>
    private sealed class Machine(double stall, double plan, double saved)
    {
        /// <summary>Seconds of planning, and of stall that it saved.</summary>
        public double Planned { get; private set; }

        public double Gained { get; private set; }

        /// <summary>Runs layers; returns in how many of them something was loaded ahead.</summary>
        public int Layers(HorizonController controller, int count)
        {
            const double Expert = 100e-6;
            int on = 0;
            double ahead = 0;
            for (int layer = 0; layer < count; layer++)
            {
                bool looks = controller.Horizon > 0;
                double gain = looks ? stall * saved : 0, cost = looks ? plan * controller.Horizon : 0;
                on += looks ? 1 : 0;
                ahead += gain / Expert;
                int loads = (int)ahead;
                ahead -= loads;
                Planned += cost;
                Gained += gain;
                controller.Expect(4);
                controller.Observe(new PrefetchFeedback(0, stall - gain, (int)Math.Ceiling(stall / Expert), 0, 35e-6 + cost, Expert, loads) { Ahead = loads, PlanSeconds = cost }, 4, 0);
            }
            return on;
        }
    }

    private static PrefetchFeedback Feedback(int misses, int over, double compute, double expert, int loaded) =>
        new(0, misses > 0 ? 1e-4 : 0, misses, over, compute, expert, loaded);
}
