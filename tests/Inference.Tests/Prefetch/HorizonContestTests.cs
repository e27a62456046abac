using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class HorizonContestTests
{
    private const int Layers = 6;

    [Property]
    public void The_best_wins_after_the_fewest_rounds_where_nothing_comes_by_chance(byte[] costs)
    {
        double[] layer = [.. costs.Take(10).Append((byte)7).Select(cost => 30e-6 + (1e-6 * cost))];
        var contest = new HorizonContest(Enumerable.Range(0, layer.Length));
        var layers = Run(contest, (horizon, _) => layer[horizon]);
        Assert.Equal(Array.IndexOf(layer, layer.Min()), contest.Winner);
        Assert.Equal(contest.Winner, contest.Horizon);
        // Blocks end with steps.
        Assert.InRange(layers, 0, HorizonContest.LeastRounds * layer.Length * (HorizonContest.Block + HorizonContest.Settling + (2 * Layers)));
    }

    [Fact]
    public void A_machine_that_grows_slower_meets_all_alike()
    {
        for (var best = 0; best < 5; best++)
        {
            var winner = best;
            var contest = new HorizonContest([0, 1, 2, 3, 4]);
            Run(contest, (horizon, layer) => (horizon == winner ? 29e-6 : 30e-6) + (layer * 5e-9));
            Assert.Equal(best, contest.Winner);
        }
    }

    [Fact]
    public void What_follows_a_change_of_the_horizon_does_not_count()
    {
        // For some layers after each change nothing is to be waited for, whichever horizon came.
        int last = -1, since = 0;
        var contest = new HorizonContest([1, 3]);
        Run(contest, (horizon, _) =>
        {
            since = horizon == last ? since + 1 : 0;
            last = horizon;
            return since < HorizonContest.Settling ? 10e-6 : horizon == 3 ? 30e-6 : 31e-6;
        });
        Assert.Equal(3, contest.Winner);
    }

    [Fact]
    public void Of_two_that_differ_by_less_than_the_tolerance_the_shorter_wins()
    {
        foreach (var (ahead, winner) in new[] { (0.5, 1), (2, 3) })
        {
            var contest = new HorizonContest([1, 3]);
            Run(contest, (horizon, _) => 30e-6 * (horizon == 3 ? 1 - (ahead * HorizonContest.Tolerance) : 1));
            Assert.Equal(winner, contest.Winner);
        }
    }

    [Fact]
    public void The_horizon_changes_only_between_steps()
    {
        var contest = new HorizonContest([0, 2, 4]);
        var random = new Random(3);
        while (contest.Winner is null)
        {
            var before = contest.Horizon;
            for (var layer = random.Next(1, 100); layer > 0; layer--)
            {
                contest.Observe(random.NextDouble());
                Assert.Equal(before, contest.Horizon);
            }
            contest.EndStep();
        }
    }

    [Fact]
    public void Where_misses_come_by_chance_what_wins_is_nearly_the_best()
    {
        // A layer waits 100 us for a miss; longer horizons have fewer misses and cost more.
        double Misses(int horizon) => 0.1 + (0.5 * Math.Pow(0.5, horizon));
        double Cost(int horizon) => 40e-6 + (4e-6 * horizon);
        double Whole(int horizon) => Cost(horizon) + (Misses(horizon) * 100e-6);
        double best = Enumerable.Range(0, 9).Min(Whole), worst = 0, mean = 0;
        const int Contests = 300;
        for (var seed = 0; seed < Contests; seed++)
        {
            var random = new Random(seed);
            var contest = new HorizonContest(Enumerable.Range(0, 9));
            Run(contest, (horizon, _) => Cost(horizon) + (random.NextDouble() < Misses(horizon) ? 100e-6 : 0));
            var regret = (Whole(contest.Winner!.Value) / best) - 1;
            (worst, mean) = (Math.Max(worst, regret), mean + (regret / Contests));
        }
        Assert.InRange(mean, 0, 0.03);
        Assert.InRange(worst, 0, 0.12);
    }

    [Fact]
    public void One_alone_has_won() => Assert.Equal(5, new HorizonContest([5]).Winner);

    /// <summary>Runs a contest to its end; returns the layers that it took.</summary>
    private static int Run(HorizonContest contest, Func<int, int, double> seconds)
    {
        var layer = 0;
        for (; contest.Winner is null; layer++)
        {
            contest.Observe(seconds(contest.Horizon, layer));
            if (layer % Layers == Layers - 1)
                contest.EndStep();
        }
        return layer;
    }
}
