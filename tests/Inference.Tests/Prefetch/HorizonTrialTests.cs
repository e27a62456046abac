using FsCheck.Xunit;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class HorizonTrialTests
{
    private const int Layers = 6;

    [Property]
    public void A_difference_that_does_not_come_by_chance_is_seen_after_the_fewest_pairs(byte kept, byte tried)
    {
        var trial = new HorizonTrial(3, 1);
        int layers = Run(trial, (horizon, _) => 30e-6 + (1e-6 * (horizon == 3 ? kept : tried)));
        Assert.Equal(tried < kept ? TrialVerdict.Better : tried > kept ? TrialVerdict.Worse : TrialVerdict.Same, trial.Verdict);
        // Blocks end with steps.
        Assert.InRange(layers, 1, 2 * HorizonTrial.LeastPairs * (HorizonTrial.Block + HorizonTrial.Settling + (2 * Layers)));
    }

    [Fact]
    public void A_machine_that_grows_slower_meets_both_horizons_alike()
    {
        var trial = new HorizonTrial(3, 1);
        Run(trial, (_, layer) => 30e-6 + (layer * 5e-9));
        Assert.Equal(TrialVerdict.Same, trial.Verdict);
    }

    [Fact]
    public void What_follows_a_change_of_the_horizon_does_not_count()
    {
        // For some layers after each change nothing is to be waited for, whichever horizon came.
        int last = 0, since = 0;
        var trial = new HorizonTrial(3, 1);
        Run(trial, (horizon, _) =>
        {
            since = horizon == last ? since + 1 : 0;
            last = horizon;
            return since < HorizonTrial.Settling ? 10e-6 : horizon == 3 ? 30e-6 : 31e-6;
        });
        Assert.Equal(TrialVerdict.Worse, trial.Verdict);
    }

    [Fact]
    public void Chance_alone_rarely_looks_like_a_difference_and_a_difference_like_chance()
    {
        // Every tenth layer waits 100 us, or every fifth.
        const int Trials = 400;
        int fooled = 0, missed = 0;
        for (int seed = 0; seed < Trials; seed++)
        {
            var random = new Random(seed);
            var same = new HorizonTrial(3, 1);
            Run(same, (_, _) => 40e-6 + (random.NextDouble() < 0.1 ? 100e-6 : 0));
            fooled += same.Verdict == TrialVerdict.Same ? 0 : 1;
            var worse = new HorizonTrial(3, 1);
            Run(worse, (horizon, _) => 40e-6 + (random.NextDouble() < (horizon == 3 ? 0.1 : 0.2) ? 100e-6 : 0));
            missed += worse.Verdict == TrialVerdict.Worse ? 0 : 1;
        }
        Assert.InRange(fooled, 0, Trials / 10);
        Assert.InRange(missed, 0, Trials / 50);
    }

    /// <summary>Runs a trial to its verdict; returns the layers that it took.</summary>
    private static int Run(HorizonTrial trial, Func<int, int, double> seconds)
    {
        int layer = 0;
        for (; trial.Verdict == TrialVerdict.Open; layer++)
            trial.Observe(layer % Layers, seconds(trial.Horizon, layer));
        return layer;
    }
}
