using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public class ExponentialTests
{
    [Fact]
    public void It_is_exact_at_0_nothing_below_its_least_and_no_number_for_none()
    {
        var x = Vector512.Create(0f).WithElement(1, -1).WithElement(2, Exponential.Least).WithElement(3, MathF.BitDecrement(Exponential.Least))
            .WithElement(4, float.NegativeInfinity).WithElement(5, float.NaN);
        var power = Exponential.Of(x);
        Assert.Equal((1f, 0f, 0f), (power[0], power[3], power[4]));
        Assert.Equal(Math.Exp(-1), power[1], 1e-7);
        Assert.Equal(1, power[2] / Math.Exp(Exponential.Least), 1e-6);
        Assert.True(float.IsNaN(power[5]));
    }
}
