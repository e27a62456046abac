using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public class ScaledExponentialTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(1 / 0.8)]
    [InlineData(1 / 0.07)]
    [InlineData(0.5)]
    public void It_is_as_near_as_it_says(double scale)
    {
        var powers = new ScaledExponential(scale, 0);
        // Its scale is rounded to fp32, in powers of two.
        double factor = (float)(scale / Math.Log(2));
        for (var i = 0; i < 5000; i++)
        {
            var x = (float)(-i * 0.0172 / scale);
            Assert.Equal(1, powers.Of(Vector512.Create(x))[i % 16] / Math.Pow(2, x * factor), 2.5e-7);
        }
    }

    [Fact]
    public void It_is_exact_at_0_and_nothing_where_there_is_no_number()
    {
        foreach (var scale in new[] { 1e-40, 0.3, 1, 1e30 })
        {
            var power = new ScaledExponential(scale, 0).Of(Vector512.Create(0f).WithElement(1, -0f).WithElement(2, float.NaN).WithElement(3, float.NegativeInfinity));
            Assert.Equal((1f, 1f, 0f, 0f), (power[0], power[1], power[2], power[3]));
        }
    }

    [Theory]
    [InlineData(2, 0.05, -1.4978661)] // ln 0.05 / 2
    [InlineData(2, 0, -43.5)]
    [InlineData(0.5, 1e-60, -174)] // exp(-87) is more
    [InlineData(4, 1, 0)]
    public void Below_the_least_it_is_nothing(double scale, double least, double limit)
    {
        var powers = new ScaledExponential(scale, least);
        var above = powers.Of(Vector512.Create((float)(limit * 0.99999)));
        Assert.Equal(Math.Exp(limit * scale), above[0], Math.Exp(limit * scale) * 1e-2);
        Assert.True(above[0] > 0);
        Assert.Equal(0, powers.Of(Vector512.Create((float)((limit * 1.00001) - 1e-6)))[0]);
    }
}
