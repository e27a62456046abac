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
        foreach (var layer in figures.Chunk(5).Where(chunk => chunk.Length == 5))
        {
            controller.Expect(layer[0] + 0.5);
            Step(controller, Feedback(layer[1] % 2, layer[2] % 4, layer[3] * 1e-5, layer[4] * 1e-5, layer[0] % 8), 8);
            Assert.InRange(controller.Horizon, HorizonController.Off, limits.MaxHorizon);
        }
    }

    [Property]
    public void On_constant_input_it_settles_within_one_layer(byte late, byte over, byte loaded, byte compute, byte expert)
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var seen = new List<int>();
        for (var layer = 0; layer < 3000; layer++)
        {
            controller.Expect(6);
            Step(controller, Feedback(late % 2, over % 3, (compute + 1) * 1e-5, (expert + 1) * 1e-5, loaded % 7), 6);
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
        for (var layer = 0; layer < 2000; layer++)
        {
            int late = controller.Horizon < 5 ? 1 : 0, over = controller.Horizon > 5 ? 2 : 0;
            controller.Expect(4);
            Step(controller, Feedback(late, over, 1e-3, 2e-3, 1), 4);
            if (layer >= 1000)
                seen.Add(controller.Horizon);
        }
        Assert.All(seen, horizon => Assert.Equal(5, horizon));
    }

    [Fact]
    public void It_grows_at_the_threshold_of_stalls_and_shrinks_at_that_of_loads_in_vain()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        foreach (var (inVain, horizon) in new[] { (8, 1), (7, 2) })
        {
            foreach (var grown in new[] { 1, 1, 1, 2 })
            {
                Step(controller, Feedback(1, 0, 1e-3, 1e-3, 1), 4);
                Assert.Equal(grown, controller.Horizon);
            }

            Step(controller, Feedback(0, inVain, 1e-3, 1e-3, 1), 4);
            Assert.Equal(horizon, controller.Horizon);
        }
    }

    [Fact]
    public void What_is_no_number_asks_for_nothing()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        for (var layer = 0; layer < 20; layer++)
        {
            controller.Begin();
            controller.Expect(4);
            controller.Observe(Feedback(1, 1, 1e-3, 1e-3, 1), double.NaN);
        }

        Assert.InRange(controller.Horizon, HorizonController.Off, 8);
    }

    [Fact]
    public void Stalls_that_nobody_foresaw_do_not_lengthen_it()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        for (var layer = 0; layer < 500; layer++)
        {
            controller.Expect(4);
            Step(controller, Feedback(1, 0, 1e-3, 1e-3, 1) with { Late = 0 }, 4);
        }
        Assert.InRange(controller.Horizon, 1, 2);
    }

    [Fact]
    public void Guesses_that_are_in_vain_as_often_as_expected_do_not_shorten_it()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        Observe(layers: 800, late: true, expectedInVain: 1.9);
        Assert.Equal(8, controller.Horizon);
        Observe(layers: 800, late: false, expectedInVain: 2);
        Assert.Equal(8, controller.Horizon);
        Observe(layers: 800, late: false, expectedInVain: 1);
        Assert.InRange(controller.Horizon, 1, 3);

        void Observe(int layers, bool late, double expectedInVain)
        {
            for (var layer = 0; layer < layers; layer++)
            {
                controller.Begin();
                controller.Expect(4);
                controller.Observe(Feedback(late ? 1 : 0, 2, 1e-3, 1e-3, 2) with { Used = 4 }, expectedInVain);
            }
        }
    }

    [Fact]
    public void A_late_stall_now_and_then_lengthens_it_only_where_planning_costs_nothing()
    {
        Assert.Equal(8, Settles(plan: 0));
        Assert.InRange(Settles(plan: 30e-6), HorizonController.Off, 4);

        static int Settles(double plan)
        {
            var controller = new HorizonController(new HorizonLimits(8, 4, 8));
            for (var layer = 0; layer < 5000; layer++)
            {
                controller.Expect(4);
                Step(controller, Feedback(layer % 60 == 0 ? 1 : 0, 0, 1e-3, 1e-3, 1) with { PlanSeconds = plan }, 4);
            }
            return controller.Horizon;
        }
    }

    [Fact]
    public void A_larger_batch_starts_again_farther_out()
    {
        var controller = new HorizonController(new HorizonLimits(16, 4, 8));
        Run(4);
        var small = controller.Horizon;
        Run(32);
        Assert.InRange(controller.Horizon, small + 2, 16);

        void Run(int experts)
        {
            for (var layer = 0; layer < 500; layer++)
            {
                controller.Expect(experts);
                Step(controller, Feedback(0, 0, 1e-3, 1e-3, experts / 2), experts);
            }
        }
    }

    [Property]
    public void Candidates_are_in_order_and_in_bounds(byte start, byte max)
    {
        var most = (max % 64) + 1;
        int[] all = [.. HorizonController.Candidates((start % most) + 1, most)];
        Assert.Equal(all.Distinct().Order(), all);
        Assert.Equal([HorizonController.Off, 0, 1], all[..3]);
        Assert.InRange(all[^1], 1, most);
    }

    [Fact]
    public void Looking_ahead_ends_where_it_costs_more_than_all_the_stall_and_stays_off()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        // The token ids cost a little too.
        var run = new PlanningMachine(stall: 4e-6, plan: 10e-6, horizon => horizon > 0 ? 0.7 : 0) { Once = 5e-6 };
        var on = run.Layers(controller, 200_000);
        Assert.Equal(HorizonController.Off, controller.Horizon);
        // Stall below the cost of planning cannot be worth it: there is nothing to compare again.
        Assert.InRange(on, 1, HorizonController.First + Contest(HorizonContest.MostRounds));
    }

    [Fact]
    public void Looking_ahead_goes_on_where_it_saves_more_than_it_costs()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new PlanningMachine(stall: 200e-6, plan: 10e-6, horizon => horizon > 0 ? 0.7 : 0);
        const int Layers = 50_000;
        var on = run.Layers(controller, Layers);
        Assert.InRange(controller.Horizon, 1, 8);
        Assert.InRange(on, Layers - (Contests(Layers) * Contest(HorizonContest.LeastRounds)), Layers);
    }

    [Fact]
    public void It_begins_again_when_there_is_stall_to_save()
    {
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        new PlanningMachine(stall: 4e-6, plan: 10e-6, horizon => horizon > 0 ? 0.7 : 0) { Once = 5e-6 }.Layers(controller, 20_000);
        Assert.Equal(HorizonController.Off, controller.Horizon);
        new PlanningMachine(stall: 200e-6, plan: 10e-6, horizon => horizon > 0 ? 0.7 : 0) { Once = 5e-6 }.Layers(controller, 2 * ContestPause.Longest);
        Assert.InRange(controller.Horizon, 1, 8);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(6)]
    public void The_counters_bring_a_horizon_that_no_contest_has_compared(int best)
    {
        // What the start says is 1; late stalls ask for more where more helps.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var machine = new PlanningMachine(stall: 60e-6, plan: 3e-6, horizon => Math.Min(1, Math.Max(0, horizon) / (double)best), seed: best);
        machine.Layers(controller, 200_000);
        Assert.InRange(controller.Horizon, best, best + 1);
    }

    [Fact]
    public void A_longer_horizon_that_saves_nothing_more_is_taken_back()
    {
        // Loads are late, since the link is full: no horizon cures that, and each layer of it costs. So the best is none.
        const double Compute = 60e-6, Cost = 7e-6;
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        double wasted = 0;
        const int Layers = 40_000;
        for (var layer = 0; layer < Layers; layer++)
        {
            controller.Begin();
            var cost = Cost * (controller.Horizon + 1);
            wasted += cost;
            controller.Expect(1);
            var late = layer % 2 * 2;
            controller.Observe(new PrefetchFeedback(0, late * 80e-6, late, 0, Compute + cost, 90e-6, 2) { Ahead = 2, Late = late, PlanSeconds = cost, Used = 4 });
        }
        Assert.Equal(HorizonController.Off, controller.Horizon);
        Assert.InRange(wasted, 0, MostWasted(Layers, Cost * 9));
    }

    [Fact]
    public void A_longer_horizon_that_takes_more_from_the_processors_than_it_saves_is_taken_back()
    {
        // What loads take from the computing threads is in no plan's time. Late stalls ask for more than 3 layers, and get little.
        const double Expert = 90e-6, Plan = 3e-6;
        double Compute(int horizon) => 60e-6 + (6e-6 * Math.Max(0, horizon - 3));
        double Stall(int horizon) => horizon <= 0 ? 50e-6 : horizon < 3 ? 30e-6 : 15e-6 - (1e-6 * (horizon - 3));
        double Whole(int horizon) => Compute(horizon) + Stall(horizon) + (horizon > 0 ? Plan : 0);
        Assert.Equal(3, Enumerable.Range(-1, 10).MinBy(Whole));
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var random = new Random(11);
        double wasted = 0;
        const int Layers = 100_000;
        for (var layer = 0; layer < Layers; layer++)
        {
            if (layer % 6 == 0)
                controller.Begin();
            var horizon = controller.Horizon;
            wasted += layer < Layers / 5 ? 0 : (Whole(horizon) - Whole(3)) / Layers;
            var plan = horizon > 0 ? Plan : 0;
            var late = random.NextDouble() < Stall(horizon) / Expert ? 1 : 0;
            // Now and then another program has the processor.
            var noise = random.NextDouble() < 0.01 ? 2e-3 : 5e-6 * random.NextDouble();
            controller.Expect(1);
            controller.Observe(new PrefetchFeedback(layer % 6, late * Expert, late, 0, Compute(horizon) + plan + noise, Expert, 1) { Ahead = 1, Late = late, PlanSeconds = plan, Used = 4 });
        }
        Assert.InRange(wasted, 0, 0.05 * Whole(3));
    }

    [Property]
    public void Contests_that_change_nothing_grow_rare(byte stall, byte plan, byte saved)
    {
        // Whatever the machine, where nothing comes by chance, looking ahead costs no more than its contests beyond what it saves.
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        var run = new PlanningMachine((stall + 1) * 1e-6, (plan + 1) * 1e-6, horizon => horizon > 0 ? saved / 255.0 : 0) { Steady = true };
        const int Layers = 300_000;
        run.Layers(controller, Layers);
        var most = MostWasted(Layers, 2 * (plan + 1) * 1e-6);
        Assert.True(run.Planned - run.Gained <= most, $"planned {run.Planned}, gained {run.Gained}, {most} for contests; ends at {controller.Horizon}");
    }

    // The one law here that holds but for chance, since a contest halves its field after a few rounds; eight thousand random
    // cases held to it. The same hundred are tried each time, so that a failure is the code's.
    [Property(Replay = "20251030,2673")]
    public void In_the_long_run_it_waits_and_plans_little_longer_than_the_best_fixed_horizon(AnyInt seed, byte wanted, byte plan, byte reach)
    {
        // Each layer ahead up to a reach saves half of the stall that is left; misses come by chance.
        double[] left = [.. Enumerable.Range(-1, 10).Select(h => Math.Pow(0.5, Math.Clamp(h, 0, (reach % 4) + 1)))];
        double misses = (wanted % 100 + 1) / 100.0, cost = (plan % 20 + 1) * 1e-6;
        var machine = new PlanningMachine(misses * PlanningMachine.Expert, cost, h => 1 - left[h + 1], seed.Item);
        var best = Enumerable.Range(-1, 10).Min(machine.Expected);
        var controller = new HorizonController(new HorizonLimits(8, 4, 8));
        machine.Layers(controller, 20_000);
        var before = machine.Planned + machine.Stalled;
        const int Layers = 100_000;
        machine.Layers(controller, Layers);
        var mean = (machine.Planned + machine.Stalled - before) / Layers;
        var unseen = Unseen(PlanningMachine.Compute + best, PlanningMachine.Expert * left.Max(share => Math.Sqrt(share * misses * (1 - (share * misses)))));
        Assert.True(mean <= best + unseen, $"{1e6 * mean} us a layer, {1e6 * best} with the best fixed horizon, and {1e6 * unseen} that cannot be seen; ends at {controller.Horizon}");
    }

    /// <summary>
    /// A difference, in seconds a layer, that a contest may miss: what counts as none, and what chance makes of the means of the
    /// most rounds, five standard deviations of it.
    /// </summary>
    private static double Unseen(double layer, double deviation) =>
        (HorizonContest.Tolerance * layer) + (5 * deviation * Math.Sqrt(2.0 / HorizonContest.Block / HorizonContest.MostRounds));

    /// <summary>Layers of a contest of all horizons up to 8.</summary>
    private static int Contest(int rounds) => 9 * rounds * (HorizonContest.Block + HorizonContest.Settling);

    /// <summary>Contests of both kinds that the pauses between them leave room for.</summary>
    private static int Contests(int layers)
    {
        var contests = 2;
        for (var pause = ContestPause.First; layers >= pause; pause = Math.Min(ContestPause.Longest, 2 * pause))
        {
            contests += 2;
            layers -= pause;
        }
        return contests;
    }

    /// <summary>What contests cost at most where nothing comes by chance, so that each ends after its fewest rounds.</summary>
    private static double MostWasted(int layers, double secondsALayer) =>
        secondsALayer * (HorizonController.First + (Contests(layers) * Contest(HorizonContest.LeastRounds)));

    private static void Step(HorizonController controller, PrefetchFeedback feedback, int used)
    {
        controller.Observe(feedback with { Used = used });
        controller.Begin();
    }

    private static PrefetchFeedback Feedback(int misses, int over, double compute, double expert, int loaded) =>
        new(0, misses > 0 ? 1e-4 : 0, misses, over, compute, expert, loaded) { Late = misses };
}
