using FsCheck.Xunit;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class RunningFiguresTests
{
    [Property]
    public void A_decaying_mean_lies_among_its_values_from_the_first_on(byte[] values)
    {
        var mean = new DecayingMean(1.0 / 16);
        for (int i = 0; i < values.Length; i++)
        {
            mean.Add(values[i]);
            Assert.InRange(mean.Value, values[..(i + 1)].Min() - 1e-9, values[..(i + 1)].Max() + 1e-9);
            Assert.True(mean.Variance >= 0);
        }
        mean.Clear();
        Assert.True(mean.IsEmpty);
        Assert.Equal(0, mean.Value);
    }

    [Fact]
    public void Its_variance_is_how_far_it_lies_from_the_truth()
    {
        // Many means of the same coin: their spread is what each of them says.
        var random = new Random(3);
        double squares = 0, said = 0;
        const int Means = 4000;
        for (int i = 0; i < Means; i++)
        {
            var mean = new DecayingMean(1.0 / 64);
            for (int value = 0; value < 200; value++)
                mean.Add(random.NextDouble() < 0.3 ? 1 : 0);
            squares += Math.Pow(mean.Value - 0.3, 2) / Means;
            said += mean.Variance / Means;
        }
        Assert.InRange(said / squares, 0.8, 1.25);
    }

    [Fact]
    public void The_usual_time_is_what_work_takes_undisturbed()
    {
        var random = new Random(5);
        var time = new UsualTime();
        // The first time is that of the compiler.
        time.Add(20e-3);
        for (int i = 0; i < PlanningWorth.Trial; i++)
            time.Add(random.NextDouble() < 0.5 ? 8e-6 * (1 + 0.1 * random.NextDouble()) : 200e-6 * random.NextDouble() + 8e-6);
        Assert.InRange(time.Value, 7e-6, 11e-6);
    }
}
