using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public class LaneMaxTests
{
    [Fact]
    public void The_larger_of_each_lane_is_taken_and_never_what_is_no_number()
    {
        var most = Vector512.Create(1f).WithElement(1, 3).WithElement(2, float.NegativeInfinity).WithElement(3, float.NegativeInfinity);
        var part = Vector512.Create(2f).WithElement(2, float.NaN).WithElement(3, -5).WithElement(4, float.NaN).WithElement(5, float.PositiveInfinity);
        var larger = LaneMax.Larger(most, part);
        Assert.Equal(
            Vector512.Create(2f).WithElement(1, 3).WithElement(2, float.NegativeInfinity).WithElement(3, -5).WithElement(4, 1).WithElement(5, float.PositiveInfinity),
            larger);
    }

    [Fact]
    public void The_largest_is_found_in_every_lane()
    {
        for (var lane = 0; lane < 16; lane++)
        {
            Assert.Equal(-1, LaneMax.One(Vector512.Create(-2f).WithElement(lane, -1)));
            Assert.Equal(-9, LaneMax.One(Vector512.Create(float.NegativeInfinity).WithElement(lane, -9)));
        }

        Assert.Equal(float.NegativeInfinity, LaneMax.One(Vector512.Create(float.NegativeInfinity)));
    }
}
