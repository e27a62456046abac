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
        // Loads are late, since the link is full: no horizon cures that, and each layer of it costs. The stalls come and go, so
        // that it takes a difference of some layers to tell.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        long horizons = 0;
        const int Layers = 40_000;
        for (int layer = 0; layer < Layers; layer++)
        {
            double cost = 7e-6 * controller.Horizon;
            horizons += controller.Horizon;
            controller.Expect(1);
            int late = layer % 2 * 2;
            controller.Observe(new PrefetchFeedback(0, late * 80e-6, late, 0, 60e-6 + cost, 90e-6, 2) { Ahead = 2, PlanSeconds = cost }, 4, late);
        }
        Assert.InRange((double)horizons / Layers, 1, 4);
    }

    [Property]
    public void Trials_that_do_not_pay_grow_rare(byte stall, byte plan, byte saved)
    {
        // Whatever the machine, what planning costs beyond what it saves is at most what is tolerated, and a hundredth of it all.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new Machine((stall + 1) * 1e-6, (plan + 1) * 1e-6, saved / 255.0);
        const int Layers = 300_000;
        run.Layers(controller, Layers);
        double cost = (plan + 1) * 1e-6, tolerated = PlanningWorth.Tolerance * (Machine.Compute + (2 * cost));
        Assert.True(run.Planned - run.Gained <= Layers * ((1.1 * tolerated) + (0.08 * cost)), $"planned {run.Planned}, gained {run.Gained}");
    }

    [Property]
    public void In_the_long_run_it_waits_and_plans_little_longer_than_the_best_fixed_horizon(int seed, byte wanted, byte plan, byte reach)
    {
        // Each layer ahead up to a reach saves half of the stall that is left; misses come by chance.
        double[] left = [.. Enumerable.Range(0, 9).Select(h => Math.Pow(0.5, Math.Min(h, reach % 4 + 1)))];
        double misses = (wanted % 100 + 1) / 100.0, cost = (plan % 20 + 1) * 1e-6;
        var machine = new Machine(misses * Machine.Expert, cost, h => 1 - left[h], seed);
        double best = Enumerable.Range(0, 9).Min(h => machine.Expected(h));
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        machine.Layers(controller, 20_000);
        double before = machine.Planned + machine.Stalled;
        const int Layers = 100_000;
        machine.Layers(controller, Layers);
        double mean = (machine.Planned + machine.Stalled - before) / Layers;
        Assert.True(mean <= 1.35 * best + 1e-6, $"{1e6 * mean} us a layer, {1e6 * best} with the best fixed horizon; ends at {controller.Horizon}");
    }

    /// <summary>
    /// A machine whose layers want experts that are not there, by chance. Looking ahead saves a share of them, at a cost for
    /// one or two predictions, which a load that is waited for hides.
    /// </summary>
    private sealed class Machine(double stall, double plan, Func<int, double> saved, int seed = 1)
    {
        public const double Expert = 100e-6;

        public const double Compute = 35e-6;

        private readonly Random _random = new(seed);

        public Machine(double stall, double plan, double saved)
            : this(stall, plan, horizon => horizon > 0 ? saved : 0)
        {
        }

        /// <summary>Seconds of planning that nothing hid, of stall that it saved, and of stall.</summary>
        public double Planned { get; private set; }

        public double Gained { get; private set; }

        public double Stalled { get; private set; }

        /// <summary>Seconds of stall and planning in a layer with a horizon that stays.</summary>
        public double Expected(int horizon)
        {
            double left = stall * (1 - saved(horizon));
            return left + (Math.Max(0, 1 - (left / Expert)) * plan * Math.Min(2, horizon));
        }

        /// <summary>Runs layers; returns in how many of them something was loaded ahead.</summary>
        public int Layers(HorizonController controller, int count)
        {
            int on = 0;
            for (int layer = 0; layer < count; layer++)
            {
                int horizon = controller.Horizon, ahead = 0, missing = 0, late = 0;
                on += horizon > 0 ? 1 : 0;
                double wanted = stall / Expert;
                for (int i = (int)wanted + (_random.NextDouble() < wanted % 1 ? 1 : 0); i > 0; i--)
                {
                    double chance = _random.NextDouble();
                    if (chance < saved(horizon))
                        ahead++;
                    else
                        missing++;
                    // What a longer horizon would have saved was foreseen too late.
                    late += chance >= saved(horizon) && chance < saved(8) ? 1 : 0;
                }
                double cost = plan * Math.Min(2, horizon), waits = missing * Expert;
                Planned += Math.Max(0, cost - waits);
                Gained += ahead * Expert;
                Stalled += waits;
                controller.Expect(4);
                controller.Observe(new PrefetchFeedback(0, waits, missing, 0, Compute + cost, Expert, ahead + missing) { Ahead = ahead, PlanSeconds = cost }, 4, late);
            }
            return on;
        }
    }

    private static PrefetchFeedback Feedback(int misses, int over, double compute, double expert, int loaded) =>
        new(0, misses > 0 ? 1e-4 : 0, misses, over, compute, expert, loaded);
}
