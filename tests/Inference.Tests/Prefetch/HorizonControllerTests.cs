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
            controller.Observe(Feedback(layer[1] % 2, layer[2] % 4, layer[3] * 1e-5, layer[4] * 1e-5, layer[0] % 8), 8);
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
            controller.Observe(Feedback(late % 2, over % 3, (compute + 1) * 1e-5, (expert + 1) * 1e-5, loaded % 7), 6);
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
            controller.Observe(Feedback(late, over, 1e-3, 2e-3, 1), 4);
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
            controller.Observe(Feedback(1, 0, 1e-3, 1e-3, 1) with { Late = 0 }, 4);
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
                controller.Observe(Feedback(0, 0, 1e-3, 1e-3, experts / 2), experts);
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
            controller.Observe(Feedback(late, 0, 1e-3, 1e-3, 1), 4);
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
        // Stall below the cost of planning cannot be worth it: there is nothing to try again.
        Assert.InRange(on, 1, HorizonController.First + (6 * LongestTrial(HorizonTrial.LeastPairs)));
    }

    [Fact]
    public void Looking_ahead_goes_on_where_it_saves_more_than_it_costs()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new Machine(stall: 200e-6, plan: 10e-6, saved: 0.7);
        const int Layers = 50_000;
        int on = run.Layers(controller, Layers);
        Assert.InRange(controller.Horizon, 1, 8);
        Assert.InRange(Layers - on, 0, Trials(Layers) * (LongestTrial(HorizonTrial.LeastPairs) / 2));
    }

    [Fact]
    public void It_begins_again_when_there_is_stall_to_save()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        new Machine(stall: 4e-6, plan: 10e-6, saved: 0.7).Layers(controller, 20_000);
        Assert.Equal(0, controller.Horizon);
        new Machine(stall: 200e-6, plan: 10e-6, saved: 0.7).Layers(controller, 2 * TrialPause.Longest);
        Assert.InRange(controller.Horizon, 1, 8);
    }

    [Fact]
    public void A_longer_horizon_that_saves_nothing_more_is_taken_back()
    {
        // Loads are late, since the link is full: no horizon cures that, and each layer of it costs. So the best is none.
        const double Compute = 60e-6, Cost = 7e-6;
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        double wasted = 0;
        const int Layers = 40_000;
        for (int layer = 0; layer < Layers; layer++)
        {
            double cost = Cost * controller.Horizon;
            wasted += cost;
            controller.Expect(1);
            int late = layer % 2 * 2;
            controller.Observe(new PrefetchFeedback(0, late * 80e-6, late, 0, Compute + cost, 90e-6, 2) { Ahead = 2, Late = late, PlanSeconds = cost }, 4);
        }
        Assert.Equal(0, controller.Horizon);
        Assert.InRange(wasted, 0, MostWasted(Layers, Cost * 8));
    }

    [Fact]
    public void A_longer_horizon_that_takes_more_from_the_processors_than_it_saves_is_taken_back()
    {
        // What loads take from the computing threads is in no plan's time. Late stalls ask for more than 3 layers, and get little.
        const double Expert = 90e-6, Plan = 3e-6;
        double Compute(int horizon) => 60e-6 + (6e-6 * Math.Max(0, horizon - 3));
        double Stall(int horizon) => horizon == 0 ? 50e-6 : horizon < 3 ? 30e-6 : 15e-6 - (1e-6 * (horizon - 3));
        double Whole(int horizon) => Compute(horizon) + Stall(horizon) + (horizon > 0 ? Plan : 0);
        Assert.Equal(3, Enumerable.Range(0, 9).MinBy(Whole));
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var random = new Random(11);
        double wasted = 0;
        const int Layers = 100_000;
        for (int layer = 0; layer < Layers; layer++)
        {
            int horizon = controller.Horizon;
            wasted += layer < Layers / 5 ? 0 : (Whole(horizon) - Whole(3)) / Layers;
            double plan = horizon > 0 ? Plan : 0;
            int late = random.NextDouble() < Stall(horizon) / Expert ? 1 : 0;
            // Now and then another program has the processor.
            double noise = random.NextDouble() < 0.01 ? 2e-3 : 5e-6 * random.NextDouble();
            controller.Expect(1);
            controller.Observe(new PrefetchFeedback(layer % 6, late * Expert, late, 0, Compute(horizon) + plan + noise, Expert, 1) { Ahead = 1, Late = late, PlanSeconds = plan }, 4);
        }
        double share = Stall(3) / Expert;
        Assert.InRange(wasted, 0, Unseen(Whole(3), Expert * Math.Sqrt(share * (1 - share))));
    }

    [Property]
    public void Trials_that_do_not_pay_grow_rare(byte stall, byte plan, byte saved)
    {
        // Whatever the machine, where nothing comes by chance, looking ahead costs no more than its trials beyond what it saves.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new Machine((stall + 1) * 1e-6, (plan + 1) * 1e-6, saved / 255.0) { Steady = true };
        const int Layers = 300_000;
        run.Layers(controller, Layers);
        double most = MostWasted(Layers, 2 * (plan + 1) * 1e-6);
        Assert.True(run.Planned - run.Gained <= most, $"planned {run.Planned}, gained {run.Gained}, {most} for trials; ends at {controller.Horizon}");
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
        double unseen = Unseen(Machine.Compute + best, Machine.Expert * Math.Sqrt(misses * (1 - misses)));
        Assert.True(mean <= best + unseen, $"{1e6 * mean} us a layer, {1e6 * best} with the best fixed horizon, and {1e6 * unseen} that cannot be seen; ends at {controller.Horizon}");
    }

    /// <summary>
    /// A difference, in seconds a layer, that a trial of two horizons may miss: what counts as none, or as many standard
    /// deviations as a verdict needs after the most pairs, and 2.5 more by bad luck.
    /// </summary>
    private static double Unseen(double layer, double deviation) => Math.Max(
        HorizonTrial.Tolerance * layer,
        (HorizonTrial.Beyond(HorizonTrial.MostPairs) + 2.5) * deviation * Math.Sqrt(2.0 / HorizonTrial.Block / HorizonTrial.MostPairs));

    private static int LongestTrial(int pairs) => 2 * pairs * (HorizonTrial.Block + HorizonTrial.Settling);

    /// <summary>Trials of each kind that the pauses between them leave room for.</summary>
    private static int Trials(int layers)
    {
        int trials = 1;
        for (int pause = TrialPause.First; layers >= pause; pause = Math.Min(TrialPause.Longest, 2 * pause))
        {
            trials++;
            layers -= pause;
        }
        return trials;
    }

    /// <summary>
    /// What trials cost at most where nothing comes by chance, so that each ends after its fewest pairs: up to six on the way
    /// from 8 layers down to none, and then those of either kind, which run half of the time with the horizon that is tried.
    /// </summary>
    private static double MostWasted(int layers, double secondsALayer) => secondsALayer
        * (HorizonController.First + (6 * LongestTrial(HorizonTrial.LeastPairs)) + (2 * Trials(layers) * (LongestTrial(HorizonTrial.LeastPairs) / 2)));

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

        /// <summary>Nothing comes by chance: every layer waits for the same part of a load.</summary>
        public bool Steady { get; init; }

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
                if (Steady)
                {
                    double costs = plan * Math.Min(2, horizon), gains = stall * saved(horizon);
                    Planned += costs;
                    Gained += gains;
                    Stalled += stall - gains;
                    controller.Expect(4);
                    controller.Observe(new PrefetchFeedback(0, stall - gains, 3, 0, Compute + costs, Expert, 3) { Ahead = 1, PlanSeconds = costs }, 4);
                    continue;
                }
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
                controller.Observe(new PrefetchFeedback(0, Math.Max(0, waits - cost), missing, 0, Compute + cost, Expert, ahead + missing) { Ahead = ahead, Late = late, PlanSeconds = cost }, 4);
            }
            return on;
        }
    }

    private static PrefetchFeedback Feedback(int misses, int over, double compute, double expert, int loaded) =>
        new(0, misses > 0 ? 1e-4 : 0, misses, over, compute, expert, loaded) { Late = misses };
}
