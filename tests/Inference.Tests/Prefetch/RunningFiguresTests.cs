using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class RunningFiguresTests
{
    [Property]
    public void A_decaying_mean_lies_among_its_values_from_the_first_on(byte[] values)
    {
        var mean = new DecayingMean(1.0 / 16);
        for (var i = 0; i < values.Length; i++)
        {
            mean.Add(values[i]);
            Assert.InRange(mean.Value, values[..(i + 1)].Min() - 1e-9, values[..(i + 1)].Max() + 1e-9);
        }
    }

    [Fact]
    public void The_usual_time_is_what_work_takes_undisturbed()
    {
        var random = new Random(5);
        var time = new UsualTime();
        // The first time is that of the compiler.
        time.Add(20e-3);
        for (var i = 0; i < 128; i++)
            time.Add(random.NextDouble() < 0.5 ? 8e-6 * (1 + 0.1 * random.NextDouble()) : 200e-6 * random.NextDouble() + 8e-6);
        Assert.InRange(time.Value, 7e-6, 11e-6);
    }
}
